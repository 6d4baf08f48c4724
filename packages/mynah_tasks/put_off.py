"""Tasks that an engine cannot do now: how long each is put off, and what is said about it."""

import logging
import math

from mynah_tasks.errors import TaskError

log = logging.getLogger(__name__)

SOONEST = 1.0
"""Seconds after which it is tried again."""
PACE = 0.01
"""Seconds between two that are tried again: however many they are, they leave the engine time for what it can do."""


class PutOff:
    """What stands in the way of tasks; moments are monotonic seconds."""

    def __init__(self) -> None:
        self._last = -math.inf
        self._until: dict[str, float] = {}
        self._told: set[tuple[str, str]] = set()

    def delay(self, task_type: str, obstacle: TaskError, now: float) -> float:
        """Seconds until a task is to be tried again; says so once for each type."""
        self._last = max(now + SOONEST, self._last + PACE)
        self._until[obstacle.code] = self._last
        if (obstacle.code, task_type) not in self._told:
            self._told.add((obstacle.code, task_type))
            log.warning("tasks that cannot be done now are put off: %s", obstacle)
        return self._last - now

    def trouble(self, now: float) -> str | None:
        """A code for what stands in the way; None when nothing does."""
        return next((code for code, until in self._until.items() if now < until + SOONEST), None)
