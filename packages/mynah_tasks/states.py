"""The states of a task and the steps between them."""

from enum import StrEnum

from mynah_tasks.errors import IllegalTransition


class TaskStatus(StrEnum):
    """Where a task is in its life; `queued` and `processing` are understood but never said."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TIMEOUT = "timeout"

    @property
    def is_terminal(self) -> bool:
        """Whether the task has its one outcome."""
        return not LEGAL[self]

    @classmethod
    def _missing_(cls, value: object) -> "TaskStatus | None":
        return _SYNONYMS.get(value) if isinstance(value, str) else None


_SYNONYMS = {"queued": TaskStatus.PENDING, "processing": TaskStatus.RUNNING}

LEGAL: dict[TaskStatus, frozenset[TaskStatus]] = {
    TaskStatus.PENDING: frozenset({TaskStatus.RUNNING, TaskStatus.CANCELLED, TaskStatus.TIMEOUT}),
    TaskStatus.RUNNING: frozenset(
        {TaskStatus.PENDING, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED, TaskStatus.TIMEOUT}
    ),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
    TaskStatus.TIMEOUT: frozenset(),
}
"""What may follow what: a running task returns to pending for its next attempt, an outcome is for ever."""


def step(current: TaskStatus, following: TaskStatus) -> TaskStatus:
    """`following`, if a task may go there from `current`; raises IllegalTransition."""
    if following not in LEGAL[current]:
        raise IllegalTransition(f"a task that is {current} cannot become {following}")
    return following
