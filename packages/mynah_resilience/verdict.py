"""Decides from a dependency's outcomes when to stop calling it."""

import logging
from collections import deque

from mynah_resilience.trend import LatencyTrend, Outlook
from mynah_resilience.window import OutcomeWindow

log = logging.getLogger(__name__)

WINDOW = 60
"""Seconds for which an outcome counts."""
FEWEST_CALLS = 10
"""A success rate over fewer calls raises no threshold."""
HEALTHY_RATE = 0.95
TOO_MANY_FAILURES = 5
FAILING_RATE = 0.5


class Verdict:
    """Counts the outcomes of one dependency and tunes how many failures are too many.

    Too many are `threshold` failures in a row within a minute, or as many within a minute that make half of the calls.
    With `adaptive`, a minute above 95 % success raises the threshold by one (once a minute, up to `maximum`), and each
    failure beyond five in a minute lowers it (down to `minimum`). While latencies degrade, `minimum` failures are
    enough; when they degrade far, none is needed.
    """

    def __init__(self, name: str, threshold: int, *, adaptive: bool, minimum: int, maximum: int) -> None:
        self._name = name
        self.threshold = threshold
        self._adaptive = adaptive
        self._minimum = minimum
        self._maximum = maximum
        self._raised_at = -float("inf")
        self._in_a_row: deque[float] = deque(maxlen=max(threshold, maximum))
        self._window = OutcomeWindow(WINDOW)
        self._trend = LatencyTrend()

    @property
    def outlook(self) -> Outlook:
        """What the latencies say about the next calls."""
        return self._trend.outlook

    def failures_in_a_row(self, now: float) -> int:
        """Failures since the last success, of the last minute."""
        return sum(at > now - WINDOW for at in self._in_a_row)

    def success_rate(self, now: float) -> float:
        """0 to 1, of the last minute; 1 when nothing was called."""
        successes, failures = self._window.counts(now)
        return successes / (successes + failures) if successes + failures else 1.0

    def succeeded(self, began: float, now: float) -> bool:
        """Count a success; whether the dependency is given up all the same."""
        self._in_a_row.clear()
        self._window.add(now, success=True)
        self._trend.succeeded(began, now)
        if self._adaptive:
            self._raise_threshold(now)
        return self._adaptive and self._trend.outlook is Outlook.FAILING

    def failed(self, began: float, now: float) -> bool:
        """Count a failure; whether it was one too many."""
        self._in_a_row.append(now)
        self._window.add(now, success=False)
        self._trend.failed(began, now)
        if self._adaptive:
            self._lower_threshold(now)
        enough = self.threshold
        if self._adaptive and self._trend.outlook is not Outlook.STEADY:
            enough = min(enough, self._minimum)
        return self._has_failed(enough, now)

    def forget(self) -> None:
        """Start anew with a dependency that has recovered; the threshold stays."""
        self._in_a_row.clear()
        self._window.clear()
        self._trend.forget()

    def _has_failed(self, times: int, now: float) -> bool:
        _, failures = self._window.counts(now)
        in_a_row = self.failures_in_a_row(now) >= times
        return in_a_row or (failures >= times and self.success_rate(now) <= FAILING_RATE)

    def _raise_threshold(self, now: float) -> None:
        if (
            self.threshold < self._maximum
            and now >= self._raised_at + WINDOW
            and sum(self._window.counts(now)) >= FEWEST_CALLS
            and self.success_rate(now) > HEALTHY_RATE
        ):
            self.threshold += 1
            self._raised_at = now
            log.info("Increased circuit breaker threshold to %d (%s)", self.threshold, self._name)

    def _lower_threshold(self, now: float) -> None:
        _, failures = self._window.counts(now)
        if self.threshold > self._minimum and failures > TOO_MANY_FAILURES:
            self.threshold -= 1
            log.info("Decreased circuit breaker threshold to %d (%s)", self.threshold, self._name)
