"""What the engine has done, counted once and shown in two ways."""

import resource
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

from mynah_resilience.window import OutcomeWindow
from mynah_tasks.records import DEADLY
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Counts
from mynah_tasks.task import TaskResult
from mynah_tasks.workers import Worker

WINDOW = 60
"""Seconds over which the throughput is taken."""
RECENT = 100
"""Over so many finished tasks health is judged."""
MIB = 2**20


class Metrics:
    """Counters since the start of the engine.

    A success rate is the share of the completed among the tasks that completed or became dead letters: cancelled ones
    say nothing, waiting ones have not failed, and where nothing has ended nothing has failed.
    """

    def __init__(self, started_at: float) -> None:
        self._started_at = started_at
        self.enqueued = 0
        self.completed = 0
        self.failed = 0
        """Tasks that became dead letters."""
        self.cancelled = 0
        self.timeouts = 0
        """Attempts that took too long."""
        self.retries = 0
        self.processing_time = 0.0
        """Seconds that completed tasks took."""
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._window = OutcomeWindow(WINDOW)

    def finished(self, result: TaskResult, now: float) -> None:
        """Count a task that has ended; `now` is monotonic."""
        if result.status is TaskStatus.COMPLETED:
            self.completed += 1
            self.processing_time += result.execution_time
        elif result.status in DEADLY:
            self.failed += 1
        else:
            self.cancelled += 1
            return
        success = result.status is TaskStatus.COMPLETED
        self._recent.append(success)
        self._window.add(now, success=success)

    @property
    def success_rate(self) -> float:
        """Of all tasks that have ended, 0 to 1."""
        ended = self.completed + self.failed
        return self.completed / ended if ended else 1.0

    @property
    def recent_success_rate(self) -> float:
        """Of the last hundred tasks that have ended, 0 to 1."""
        return sum(self._recent) / len(self._recent) if self._recent else 1.0

    @property
    def average_time(self) -> float:
        """Seconds that a completed task took."""
        return self.processing_time / self.completed if self.completed else 0.0

    def throughput(self, now: float) -> float:
        """Tasks that ended per second, over the last minute."""
        elapsed = min(max(now - self._started_at, 1.0), float(WINDOW))
        return sum(self._window.counts(now)) / elapsed

    def queue_view(self, counts: Counts, active_workers: int) -> dict[str, int | float]:
        """As the asynchronous task queue reports itself; its success rate is a fraction."""
        return {
            "tasks_enqueued": self.enqueued,
            "tasks_completed": self.completed,
            "tasks_failed": self.failed,
            "tasks_timeout": self.timeouts,
            "total_processing_time": self.processing_time,
            "queue_size": counts.pending,
            "avg_processing_time": self.average_time,
            "success_rate": self.success_rate,
            "dead_letter_queue_size": counts.dead,
            "active_workers": active_workers,
        }

    def processor_view(self, counts: Counts, workers: Iterable[Worker], now: float) -> dict[str, Any]:
        """As the asynchronous processor reports itself; its success rate is in percent."""
        return {
            "tasks_processed": self.completed + self.failed,
            "success_rate": 100 * self.success_rate,
            "average_execution_time": self.average_time,
            "current_throughput": self.throughput(now),
            "queue_size": counts.pending,
            "running_tasks": counts.running,
            "worker_stats": {worker.id: worker.stats() for worker in workers},
            "peak_memory_usage_mb": peak_memory() / MIB,
            "uptime_seconds": now - self._started_at,
        }


def peak_memory() -> int:
    """The most memory that this process has had, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
