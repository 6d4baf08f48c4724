"""Tasks and results as JSON."""

import logging
import math
from dataclasses import fields
from typing import Any

import orjson

from mynah_tasks.errors import NotStorable
from mynah_tasks.task import DAMAGED, Task

log = logging.getLogger(__name__)

STRICTLY = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
CONTAINERS = (dict, list, tuple)
SCALARS = frozenset({str, int, float, bool, type(None)})
DEFAULTS = {field.name: field.default for field in fields(Task)}


def encode(value: Any, what: str) -> bytes:
    """JSON of a payload or result; raises NotStorable when that would lose something."""
    try:
        data = orjson.dumps(value, option=STRICTLY)
    except TypeError as error:
        raise NotStorable(f"{what} cannot be stored, because it is not JSON: {error}") from error
    if b"null" in data and not _is_finite(value):  # numbers that JSON has not are written so
        raise NotStorable(f"{what} cannot be stored, because it is not JSON: it has NaN or an infinity")
    return data


def decode(data: bytes | None) -> Any:
    """The value that was encoded; None for nothing."""
    return None if data is None else orjson.loads(data)


def encode_task(task: Task) -> bytes:
    """JSON of what a task differs in from the defaults; raises NotStorable."""
    what = f"task {task.id}"
    if not task.durable:
        raise NotStorable(f"{what} is not durable, but everything in this store is")
    differing = {name: value for name, default in DEFAULTS.items() if (value := getattr(task, name)) != default}
    differing["priority"] = int(task.priority)
    if task.tags:
        differing["tags"] = sorted(task.tags)
    return encode(differing, what)


def decode_task(data: bytes, task_id: str) -> Task:
    """The task that was encoded; one of type DAMAGED if it cannot be read, which ends as a dead letter."""
    try:
        return Task(**orjson.loads(data))
    except (ValueError, TypeError) as error:
        log.error("what was stored of task %s is damaged: %s", task_id, error)  # noqa: TRY400
        return Task(DAMAGED, id=task_id, max_retries=0)


def as_stored(task: Task, data: bytes) -> Task:
    """The task as `decode_task` will give it: its payload is nobody else's, and a tuple in it a list."""
    return task if type(task.payload) in SCALARS else decode_task(data, task.id)


def _is_finite(value: Any) -> bool:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left.extend(item.values())
        elif isinstance(item, CONTAINERS):
            left.extend(item)
        elif isinstance(item, float) and not math.isfinite(item):
            return False
    return True
