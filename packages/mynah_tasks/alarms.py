"""Moments at which something is due: a heap that forgets what was cancelled."""

import heapq
import itertools
from typing import Generic, TypeVar

T = TypeVar("T")

WORTHWHILE = 64
"""So many cancelled entries are kept before it pays to look for them."""


class Alarm(Generic[T]):
    """Something that is due `when`; inert once cancelled."""

    __slots__ = ("is_cancelled", "what", "when")

    def __init__(self, when: float, what: T) -> None:
        self.when = when
        self.what = what
        self.is_cancelled = False


class Alarms(Generic[T]):
    """Alarms in the order of their moments; O(log n) each, cancelled ones cost no memory for long."""

    def __init__(self) -> None:
        self.next_due: float | None = None
        """The moment of the first alarm; None without any."""
        self._heap: list[tuple[float, int, Alarm[T]]] = []
        self._numbers = itertools.count()
        self._cancelled = 0

    def set(self, when: float, what: T) -> Alarm[T]:
        """Have `what` ready at `when`."""
        alarm = Alarm(when, what)
        heapq.heappush(self._heap, (when, next(self._numbers), alarm))
        self._look()
        return alarm

    def cancel(self, alarm: Alarm[T]) -> None:
        """Forget an alarm that has not been given out."""
        alarm.is_cancelled = True
        self._cancelled += 1
        if self._cancelled > WORTHWHILE and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].is_cancelled]
            heapq.heapify(self._heap)
            self._cancelled = 0
        self._look()

    def pop_due(self, now: float) -> T | None:
        """Give out, and forget, the first one whose moment has come."""
        if self.next_due is None or self.next_due > now:
            return None
        what = heapq.heappop(self._heap)[2].what
        self._look()
        return what

    def _look(self) -> None:
        """Drop what was cancelled from the front."""
        while self._heap and self._heap[0][2].is_cancelled:
            heapq.heappop(self._heap)
            self._cancelled -= 1
        self.next_due = self._heap[0][0] if self._heap else None
