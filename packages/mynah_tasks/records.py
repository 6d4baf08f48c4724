"""What is known about one task."""

import sys
from collections.abc import Iterable, Sequence
from heapq import nlargest
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from mynah_tasks.states import TaskStatus, step
from mynah_tasks.task import Entry, Task, TaskResult

if TYPE_CHECKING:
    from mynah_tasks.alarms import Alarm


class Moment(NamedTuple):
    """Now, in seconds, on both clocks."""

    monotonic: float
    wall: float


ALONE_FROM = 2
"""A task under which the process died so often in a row runs alone."""
SOLITUDE = 60.0
"""Seconds for which the others wait until nothing else runs, and as many while it does."""


class Record:
    """A task that has not ended; slots, because thousands of them wait."""

    __slots__ = (
        "attempts",
        "crashes",
        "created_at",
        "error",
        "expiry",
        "outcome",
        "pause",
        "ready_at",
        "seq",
        "status",
        "task",
        "token",
    )

    def __init__(self, task: Task, seq: int, created_at: float, ready_at: float) -> None:
        self.task = task
        self.seq = seq
        """Order of acceptance."""
        self.created_at = created_at
        """Seconds since 1970."""
        self.ready_at = ready_at
        """Since when it could run, monotonic seconds; meaningless while it cannot."""
        self.status = TaskStatus.PENDING
        self.attempts = 0
        self.crashes = 0
        """How often in a row the process died under it."""
        self.token = 0
        """Of its last claim."""
        self.error: str | None = None
        """Of its last attempt."""
        self.pause: Alarm[Record] | None = None
        """Ends its back-off."""
        self.expiry: Alarm[Record] | None = None
        self.outcome: TaskResult | None = None

    @property
    def is_suspect(self) -> bool:
        """Whether it must run alone."""
        return self.crashes >= ALONE_FROM

    def become(self, status: TaskStatus) -> None:
        """Take a step of the state machine."""
        self.status = step(self.status, status)

    def is_listed(self, status: TaskStatus | None, tag: str | None, end: int) -> bool:
        """Whether it belongs to the tasks with that status and tag that were accepted before number `end`."""
        return self.seq < end and (status is None or self.status is status) and (tag is None or tag in self.task.tags)

    @property
    def entry(self) -> Entry:
        """How far it is, for those who ask."""
        return Entry(
            self.task,
            self.outcome
            or TaskResult(
                self.task.id, self.status, error=self.error, created_at=self.created_at, attempts=self.attempts
            ),
        )


BY_SEQ = attrgetter("seq")
"""In the order of acceptance."""
DEADLY = frozenset({TaskStatus.FAILED, TaskStatus.TIMEOUT})
"""The outcomes that make a dead letter."""


class Past(NamedTuple):
    """A task that has ended."""

    task: Task
    state: TaskResult
    seq: int
    """Order of acceptance."""
    token: int
    """Of its last claim."""
    is_dead: bool
    """Whether it is a dead letter."""

    @property
    def entry(self) -> Entry:
        """What became of it, for those who ask."""
        return Entry(self.task, self.state)


def newest(
    recent: Sequence[Record],
    ended: Iterable[Record | Past],
    *,
    status: TaskStatus | None,
    tag: str | None,
    limit: int,
    end: int,
) -> list[Entry]:
    """A page of the `recent`, which are in the order of acceptance, and of the `ended`, which belong to it already."""
    listed = islice((each for each in reversed(recent) if each.is_listed(status, tag, end)), limit)
    page: list[Record | Past] = nlargest(limit, chain(listed, ended), key=BY_SEQ)
    return [each.entry for each in page]


def page_size(limit: int) -> int:
    """A limit that iterators and databases take: 0 to 2**63 - 1."""
    return max(0, min(limit, sys.maxsize))
