"""Counts outcomes of the recent past in constant memory."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class _Second:
    """The outcomes of one second."""

    number: int
    successes: int = 0
    failures: int = 0


class OutcomeWindow:
    """The outcomes of the last `length` seconds, to the second."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._seconds: deque[_Second] = deque()
        self._successes = 0
        self._failures = 0

    def add(self, now: float, *, success: bool) -> None:
        """Count one outcome; `now` is monotonic, in seconds."""
        if not self._seconds or self._seconds[-1].number < int(now):
            self._forget_before(now - self._length)
            self._seconds.append(_Second(int(now)))
        if success:
            self._seconds[-1].successes += 1
            self._successes += 1
        else:
            self._seconds[-1].failures += 1
            self._failures += 1

    def counts(self, now: float) -> tuple[int, int]:
        """Successes and failures that are still inside the window."""
        self._forget_before(now - self._length)
        return self._successes, self._failures

    def clear(self) -> None:
        """Forget all outcomes."""
        self._seconds.clear()
        self._successes = self._failures = 0

    def _forget_before(self, moment: float) -> None:
        while self._seconds and self._seconds[0].number <= moment:
            past = self._seconds.popleft()
            self._successes -= past.successes
            self._failures -= past.failures
