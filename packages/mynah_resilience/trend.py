"""Predicts the failure of a dependency from the trend of its latencies and errors.

Method: a one-sided cumulative sum (CUSUM: E. S. Page, "Continuous inspection schemes", Biometrika 41, 1954) over log
latencies, standardised by the median and the upper quantiles of a moving reference, and winsorised, so that a few
wild values move neither the reference nor the sum far. Each call adds what its latency lies above the reference less
an allowance of one deviation; a quiet call takes as much away.

Upper quantiles, because healthy latencies have heavy right tails: a dependency of which one call in five takes twenty
times as long is no alarm. Calls that overlap count once, because one hiccup makes all of them slow. Calls that take
five times as long as before are DEGRADED after three and FAILING after five; a latency that doubled is DEGRADED after
five and is never called FAILING.
"""

import math
from collections import deque
from collections.abc import Collection
from enum import StrEnum
from statistics import median

ALLOWANCE = 1.0
"""What a call may lie above the reference for nothing, in deviations."""
WORST = 3.0
"""No single call counts for more than this, in deviations."""
ERROR = 1.0
"""What a failure adds at least: without slowness, five in a row alarm."""
DEGRADED_AT = 5.0
FAILING_AT = 10.0
FAILING_FACTOR = math.log(4)
"""Calls that still succeed are given up only when they take four times as long as usual (natural logarithm)."""
LEAST_DEVIATION = math.log(2) / 2
"""Deviations are never taken smaller, so that less than a doubling is noise by decree (natural logarithm)."""
LEAST_LATENCY = 0.001
"""Seconds; differences below a millisecond are the machine's and say nothing about the dependency."""
QUANTILES = ((0.75, 0.6745), (0.9, 1.2816), (0.95, 1.6449))
"""Where the spread is read, and how many deviations above the median that point of a normal distribution lies."""
BATCH = 10
"""The reference is measured again after so many calls."""


class Outlook(StrEnum):
    """What the trend says about the next calls."""

    STEADY = "steady"
    DEGRADED = "degraded"
    """Markedly slower than usual: failures are to be expected, and few of them are enough."""
    FAILING = "failing"
    """So much slower for so long that no failure need be waited for."""


class LatencyTrend:
    """Watches one dependency; says nothing until `learn` calls have succeeded, then compares with the last `memory`."""

    def __init__(self, *, learn: int = 20, memory: int = 100) -> None:
        self._learn = learn
        self._reference: deque[float] = deque(maxlen=memory)
        # Calls of an excursion join the reference only when it has ended well: a slow decline must not become the norm,
        # and keeping out just the slow calls would narrow the reference until health itself looked slow.
        self._excursion: deque[float] = deque(maxlen=memory)
        self._counted_until = -math.inf
        self._unmeasured = 0
        self._centre = 0.0
        self._deviation = LEAST_DEVIATION
        self._sum = 0.0

    @property
    def outlook(self) -> Outlook:
        """What to expect after the calls seen so far."""
        if self._sum < DEGRADED_AT:
            return Outlook.STEADY
        if self._sum < FAILING_AT or median(self._excursion) - self._centre < FAILING_FACTOR:
            return Outlook.DEGRADED
        return Outlook.FAILING

    def succeeded(self, began: float, ended: float) -> None:
        """Take in a call that succeeded; monotonic seconds."""
        if not self._counts(began, ended):
            return
        if self._is_learning:
            self._learn_from([_log(ended - began)])
            return
        self._excursion.append(_log(ended - began))
        self._move(self._excess(self._excursion[-1]))
        if not self._sum:
            self._learn_from(self._excursion)
            self._excursion.clear()

    def failed(self, began: float, ended: float) -> None:
        """Take in a call that failed: a quick failure is no good sign, a slow one is worse."""
        if self._is_learning or not self._counts(began, ended):
            return
        self._excursion.append(_log(ended - began))
        self._move(max(ERROR, self._excess(self._excursion[-1])))

    def forget(self) -> None:
        """Start to learn anew, as after a recovery."""
        self._reference.clear()
        self._excursion.clear()
        self._sum = 0.0

    @property
    def _is_learning(self) -> bool:
        return len(self._reference) < self._learn

    def _counts(self, began: float, ended: float) -> bool:
        overlaps = began < self._counted_until
        self._counted_until = self._counted_until if overlaps else ended
        return not overlaps

    def _excess(self, value: float) -> float:
        return min((value - self._centre) / self._deviation, WORST) - ALLOWANCE

    def _move(self, step: float) -> None:
        # Capped, so that a long excursion is not held against a dependency for as long again.
        self._sum = min(max(0.0, self._sum + step), FAILING_AT)

    def _learn_from(self, calls: Collection[float]) -> None:
        self._reference.extend(calls)
        self._unmeasured += len(calls)
        if self._unmeasured >= BATCH or len(self._reference) == self._learn:
            self._measure()

    def _measure(self) -> None:
        values = sorted(self._reference)
        self._centre = median(values)
        points = (values[math.ceil(share * len(values)) - 1] for share, _ in QUANTILES)
        spreads = ((p - self._centre) / width for p, (_, width) in zip(points, QUANTILES, strict=True))
        self._deviation = max(LEAST_DEVIATION, *spreads)
        self._unmeasured = 0


def _log(latency: float) -> float:
    return math.log(max(latency, LEAST_LATENCY))
