"""First come, first served, in five lanes, of which the urgent ones go first."""

from collections import deque

from mynah_tasks.records import Record
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Priority

NEVER = 1e9
"""Seconds of waiting that no task reaches."""
WORTHWHILE = 64
"""So many dead entries are kept before it pays to look for them."""


class Lanes:
    """Waiting tasks: the urgent first, first come, first served within a priority, and none starves.

    `ageing` seconds of waiting are worth one priority: one that is n priorities more urgent overtakes a task only if it
    became ready less than n times `ageing` seconds later. Constant time per operation.
    """

    def __init__(self, ageing: float | None) -> None:
        self._ageing = NEVER if ageing is None else ageing
        self._lanes: dict[Priority, deque[Record]] = {priority: deque() for priority in Priority}
        self._entries = 0
        self._dead = 0

    def push(self, record: Record) -> None:
        """Put a pending task behind the others of its priority."""
        self._lanes[record.task.priority].append(record)
        self._entries += 1

    def discard(self) -> None:
        """Say that a task in here is no longer pending; it will not be given out."""
        self._dead += 1
        if self._dead > WORTHWHILE and self._dead * 2 > self._entries:
            for priority, lane in self._lanes.items():
                self._lanes[priority] = deque(record for record in lane if record.status is TaskStatus.PENDING)
            self._entries -= self._dead
            self._dead = 0

    def head(self) -> tuple[float, int, Record] | None:
        """The next task behind its rank, two numbers (the smaller goes first); None when none waits."""
        best: tuple[float, int, Record] | None = None
        if self._entries == 0:
            return best
        for priority, lane in self._lanes.items():
            while lane and lane[0].status is not TaskStatus.PENDING:
                lane.popleft()
                self._entries -= 1
                self._dead -= 1
            if lane:
                rank = lane[0].ready_at + priority * self._ageing
                if best is None or rank < best[0]:
                    best = rank, lane[0].seq, lane[0]
        return best

    def pop(self, record: Record) -> None:
        """Take out the task that `head` gave."""
        self._lanes[record.task.priority].popleft()
        self._entries -= 1
