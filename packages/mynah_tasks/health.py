"""Whether an engine can be relied on."""

from dataclasses import dataclass
from typing import Any, Literal

LARGE_QUEUE = 1000
LARGE_SHARE = 0.8
"""Of the capacity."""
ENOUGH_SUCCESS = 0.95


@dataclass(frozen=True, slots=True)
class Health:
    """A verdict; `reason` is a stable code, absent when all is well."""

    status: Literal["healthy", "degraded", "unhealthy"]
    reason: str | None = None

    def to_dict(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """The verdict with its reason, or with the metrics when all is well."""
        if self.reason is None:
            return {"status": self.status, "metrics": metrics}
        return {"status": self.status, "reason": self.reason}


def judge(
    *, is_running: bool, queue_size: int, capacity: int, recent_success_rate: float, trouble: str | None = None
) -> Health:
    """The worst that can be said; `trouble` is a code for what is wrong with what the engine stands on."""
    if not is_running:
        return Health("unhealthy", "processor_stopped")
    if trouble is not None:
        return Health("degraded", trouble)
    if queue_size > min(LARGE_QUEUE, LARGE_SHARE * capacity):
        return Health("degraded", "high_queue_size")
    if recent_success_rate < ENOUGH_SUCCESS:
        return Health("degraded", "low_success_rate")
    return Health("healthy")
