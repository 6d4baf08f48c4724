"""Remembers delays in constant memory."""

import math

LEAST = 0.0001
"""Seconds; shorter delays count as this."""
STEPS = 8
"""Steps per doubling, that is 9 % precision."""
LONGEST = 28 * STEPS
"""The last step: over seven hours."""


class Delays:
    """A histogram of the times, in seconds, for which something could not be answered."""

    def __init__(self) -> None:
        self.maximum = 0.0
        self._counts = [0] * (LONGEST + 1)
        self._sums = [0.0] * (LONGEST + 1)

    def add(self, delay: float) -> None:
        """Count one delay."""
        self.maximum = max(self.maximum, delay)
        step = min(LONGEST, max(0, int(math.log2(max(delay, LEAST) / LEAST) * STEPS)))
        self._counts[step] += 1
        self._sums[step] += delay

    def quantile(self, share: float, elapsed: float) -> float:
        """How long at most the share (0 to 1) of callers waited that came evenly over `elapsed` seconds.

        Who comes during a delay waits for the rest of it: of each delay d, its last x seconds are waits below x.
        """
        allowed = (1 - share) * elapsed
        count, total = 0, 0.0
        for step in range(LONGEST, -1, -1):
            count += self._counts[step]
            total += self._sums[step]
            wait = (total - allowed) / count if count else 0.0
            if wait >= LEAST * 2 ** (step / STEPS):
                return wait
        return max(0.0, (total - allowed) / count) if count else 0.0
