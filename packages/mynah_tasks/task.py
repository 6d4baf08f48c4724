"""A task as it is asked for, and what became of it."""

import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from mynah_resilience.names import Names
from mynah_tasks.payloads import fresh
from mynah_tasks.states import TaskStatus

DAMAGED = "damaged"
"""The type of a task of which only the id could be read."""

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"


class Priority(IntEnum):
    """How urgent a task is; the smaller runs first."""

    CRITICAL = 1
    HIGH = 2
    NORMAL = 3
    LOW = 4
    BATCH = 5

    @classmethod
    def from_urgency(cls, urgency: int) -> "Priority":
        """The priority that 0 (normal), 1 (high) or 2 (critical) of the voice engine means; raises ValueError."""
        if urgency not in (0, 1, 2):
            raise ValueError(f"an urgency is 0, 1 or 2, not {urgency!r}")
        return cls(cls.NORMAL - urgency)


_random: Final = Names(10)


def new_id() -> str:
    """32 hexadecimal digits that nobody can guess; later ones sort behind earlier ones, to the millisecond."""
    return f"{time.time_ns() // 1_000_000:012x}{_random()}"


LONGEST = 1e9
"""Seconds that an attempt may take at most: thirty years."""
LATEST = 1e12


def check_timeout(seconds: float) -> None:
    """Raise ValueError unless work can be done within so many seconds, and a timer be set for them."""
    if not 0 < seconds <= LONGEST:
        raise ValueError(f"a timeout of {seconds} s is not more than 0 and at most {LONGEST:g}")


@dataclass(frozen=True, slots=True)
class Task:
    """Work for the processor that is registered for `task_type`; raises ValueError for values out of range."""

    task_type: str
    payload: Any = None
    """JSON where the store is durable, any object where it is not; of lists and dicts, copies are kept."""
    priority: Priority = Priority.NORMAL
    id: str = ""
    """Made when left empty."""
    timeout: float | None = None
    """Seconds that one attempt may take; None takes the engine's default."""
    max_retries: int = 3
    """Attempts after the first one, besides those that a shutdown interrupts; with 0 the work is never begun twice."""
    cpu_intensive: bool = False
    memory_intensive: bool = False
    io_bound: bool = False
    tags: Collection[str] = frozenset()
    depends_on: Sequence[str] = ()
    """Ids of the tasks that must complete first."""
    expires_at: float | None = None
    """When the whole life of the task ends, in seconds since 1970."""
    idempotency_key: str | None = None
    """A second task with the same key is the first one."""
    durable: bool = True
    """Whether it is worth storing; False for what only this process can run, such as a callable in the payload."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.payload is not None:
            put(self, "payload", fresh(self.payload))
        if not self.id:
            put(self, "id", new_id())
        if type(self.priority) is not Priority:
            put(self, "priority", Priority(self.priority))
        if self.tags or self.depends_on:
            if isinstance(self.tags, str) or isinstance(self.depends_on, str):
                raise ValueError("tags and depends_on are collections of strings, not one string")
            put(self, "tags", frozenset(self.tags))
            put(self, "depends_on", tuple(dict.fromkeys(self.depends_on)))
        if self.max_retries < 0:
            raise ValueError(f"max_retries is {self.max_retries}, but an attempt cannot be taken back")
        if self.timeout is not None:
            check_timeout(self.timeout)
        if self.expires_at is not None and not -LATEST < self.expires_at < LATEST:
            raise ValueError(f"{self.expires_at} is no moment in seconds since 1970")

    def to_dict(self) -> dict[str, JsonValue]:
        """All fields as JSON; what is not JSON in the payload is shown as its repr."""
        plain = {name: getattr(self, name) for name in FIELDS} | {"tags": sorted(self.tags)}
        shown: dict[str, JsonValue] = orjson.loads(orjson.dumps(plain, default=repr, option=orjson.OPT_NON_STR_KEYS))
        return shown


FIELDS = tuple(field.name for field in fields(Task))


class TaskResult(NamedTuple):
    """What became of a task, or how far it is; the two times are seconds since 1970, `execution_time` seconds."""

    task_id: str
    status: TaskStatus
    result: Any = None
    error: str | None = None
    execution_time: float = 0.0
    created_at: float = 0.0
    completed_at: float | None = None
    attempts: int = 0

    def to_dict(self) -> dict[str, Any]:
        """All fields by name."""
        return self._asdict()


class Entry(NamedTuple):
    """A task and how far it is."""

    task: Task
    state: TaskResult


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A task that ended in failure or timeout and waits for a human; `task` is its payload."""

    task_id: str
    error: str
    retry_count: int
    failed_at: float
    task: Any

    @classmethod
    def of(cls, entry: Entry) -> "DeadLetter":
        """The letter of a task that has ended so."""
        task, state = entry
        return cls(task.id, state.error or "", max(state.attempts - 1, 0), state.completed_at or 0.0, task.payload)

    def to_dict(self) -> dict[str, Any]:
        """The five fields by name."""
        return asdict(self)
