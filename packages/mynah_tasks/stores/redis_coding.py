"""What goes to redis.lua and what comes from it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import orjson

from mynah_tasks.admission import work_of
from mynah_tasks.errors import DependencyCycle, DuplicateTask, QueueFull, StaleClaim, UnknownDependency, UnknownTask
from mynah_tasks.records import Record
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts
from mynah_tasks.stores.coding import decode_task, encode_task
from mynah_tasks.task import Entry, Task, TaskResult

FIELDS = ("id", "spec", "status", "result", "error", "execution_time", "created_at", "completed_at", "attempts")
"""What makes an entry, in this order."""
REFUSALS = {
    kind.code: kind for kind in (DependencyCycle, DuplicateTask, QueueFull, StaleClaim, UnknownDependency, UnknownTask)
}


class Answer(NamedTuple):
    """What a step did."""

    has_changed: bool
    wait: float | None
    """Seconds until time alone brings something; None if never."""
    counts: Counts
    ended: list[Record]
    """The tasks that ended by it, as far as their end goes."""
    claims: list[Claim]
    """What it gave."""
    revoked: list[tuple[str, int, str]]
    """Id, token and owner of each claim that it took away."""
    result: list[Any]


def read_answer(reply: bytes) -> Answer:
    """What the library answered; raises what it refused."""
    answer = orjson.loads(reply)
    if "refused" in answer:
        code, message = answer["refused"]
        raise REFUSALS[code](message)
    return Answer(
        answer["changed"],
        read_wait(answer["now"], answer["due"]),
        Counts(*answer["counts"]),
        [_ended(read_entry([value or None for value in values])) for values in answer["ended"]],
        [read_claim(values) for values in answer["claims"]],
        read_revoked(answer["revoked"]),
        list(answer["result"]),
    )


def read_revoked(claims: Iterable[Sequence[Any]]) -> list[tuple[str, int, str]]:
    """Id, token and owner of each claim."""
    return [(task_id, int(token), owner) for task_id, token, owner in claims]


def read_entry(values: Sequence[str | bytes | None]) -> Entry:
    """The task with these FIELDS."""
    task_id, spec, status, result, error, execution_time, created_at, completed_at, attempts = map(_text, values)
    task = decode_task((spec or "").encode(), task_id or "")
    state = TaskResult(
        task.id,
        TaskStatus(status or ""),
        orjson.loads(result) if result else None,
        error,
        float(execution_time or 0),
        float(created_at or 0),
        float(completed_at) if completed_at else None,
        int(attempts or 0),
    )
    return Entry(task, state)


def read_claim(values: Sequence[str]) -> Claim:
    """The claim that the library gave."""
    task_id, spec, attempts, token, waited, crashes = values
    return Claim(decode_task(spec.encode(), task_id), int(attempts), int(token), float(waited), int(crashes))


def read_wait(now: str, due: str) -> float | None:
    """Seconds from one moment to the other; None if there is no other."""
    return max(0.0, float(due) - float(now)) if due else None


def describe(task: Task) -> dict[str, Any]:
    """What the library has to know about a task."""
    facts = {
        "id": task.id,
        "priority": int(task.priority),
        "heavy": task.memory_intensive,
        "max_retries": task.max_retries,
        "deps": list(task.depends_on),
        "work": work_of(task),
        "key": task.idempotency_key,
        "expires_at": task.expires_at,
    }
    return {name: value for name, value in facts.items() if value is not None}


def pack(tasks: Sequence[Task]) -> list[bytes]:
    """The arguments by which tasks are handed in: what is to be known of all, then the spec of each."""
    specs = [encode_task(task) for task in tasks]
    return [orjson.dumps([describe(task) for task in tasks]), *specs]


def _text(value: str | bytes | None) -> str | None:
    return value.decode() if isinstance(value, bytes) else value


def _ended(entry: Entry) -> Record:
    record = Record(entry.task, 0, entry.state.created_at, 0.0)
    record.status = entry.state.status
    record.outcome = entry.state
    return record
