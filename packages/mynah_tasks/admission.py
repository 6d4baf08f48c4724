"""Which tasks may come in, and what they wait for."""

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Protocol

import orjson

from mynah_tasks.errors import DependencyCycle, DuplicateTask, UnknownDependency
from mynah_tasks.graph import find_cycle
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Entry, Task

COMPARABLY: Final = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


class Known(Protocol):
    """All tasks there are."""

    def find(self, task_id: str) -> Entry | None:
        """The task with this id."""

    def find_key(self, key: str) -> Entry | None:
        """The task with this idempotency key."""


class Admission(NamedTuple):
    """What will come of a call that hands in tasks."""

    ids: list[str]
    """The id under which each of them is known, in their order."""
    fresh: dict[str, Task]
    """Those that are not there yet."""
    waits_for: dict[str, set[str]]
    """The open dependencies of the fresh ones that have any."""
    doomed: dict[str, str]
    """The fresh ones that can never run, and why."""


def admit(tasks: Sequence[Task], known: Known) -> Admission:
    """Look at all of them before one comes in; raises DuplicateTask, UnknownDependency, DependencyCycle."""
    admission = Admission([], {}, {}, {})
    depends = False
    names: dict[str, str] = {}
    keys: dict[str, Task] = {}
    for task in tasks:
        twin = None if task.idempotency_key is None else _twin(task, task.idempotency_key, keys, known)
        if twin is None:
            if task.id in names or known.find(task.id):
                raise DuplicateTask(f"there is a task {task.id} already")
            admission.fresh[task.id] = task
            depends = depends or bool(task.depends_on)
        names[task.id] = twin or task.id
        admission.ids.append(names[task.id])
    if depends:
        _resolve(admission, names, known.find)
    return admission


def work_of(task: Task) -> str:
    """A digest of the type and the payload, the same for what is the same as JSON; an object that is none is itself."""
    name = task.task_type.encode(errors="backslashreplace")
    return hashlib.sha256(name + b"\0" + _content(task.payload)).hexdigest()


def _content(payload: object) -> bytes:
    with suppress(TypeError):
        return orjson.dumps(payload, default=_itself, option=COMPARABLY)
    with suppress(TypeError, ValueError, RecursionError):  # half a character, a number of more than 64 bits
        return json.dumps(payload, default=_itself, sort_keys=True).encode()
    return b"%d" % id(payload)


def _itself(value: object) -> str:
    return f"{type(value).__qualname__} {value.hex() if isinstance(value, bytes) else id(value)}"


def _twin(task: Task, key: str, keys: dict[str, Task], known: Known) -> str | None:
    """The id of the task that has the same idempotency key, if there is one."""
    entry = known.find_key(key)
    if entry is None and key not in keys:
        keys[key] = task
        return None
    twin = entry.task if entry else keys[key]
    if work_of(twin) != work_of(task):
        raise DuplicateTask(f"the idempotency key {key!r} belongs to other work, that of task {twin.id}")
    return twin.id


def _resolve(admission: Admission, names: dict[str, str], find: Callable[[str], Entry | None]) -> None:
    """Find what each fresh task still has to wait for."""
    for task in admission.fresh.values():
        if not task.depends_on:
            continue
        open_ones = set()
        for name in task.depends_on:
            parent = names.get(name, name)
            if parent in admission.fresh:
                open_ones.add(parent)
            elif (entry := find(parent)) is None:
                raise UnknownDependency(f"task {task.id} depends on {parent}, which is not there")
            elif not entry.state.status.is_terminal:
                open_ones.add(parent)
            elif entry.state.status is not TaskStatus.COMPLETED:
                admission.doomed[task.id] = f"depends on {parent}, which ended {entry.state.status}"
        if open_ones:
            admission.waits_for[task.id] = open_ones
    inside = {node: parents & admission.fresh.keys() for node, parents in admission.waits_for.items()}
    if cycle := find_cycle(inside):
        raise DependencyCycle(f"these tasks wait for each other: {', '.join(sorted(cycle)[:10])}")
