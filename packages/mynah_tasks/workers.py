"""The engine's workers and what each has done."""

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class Worker:
    """One of the places at which a task can be worked on."""

    id: str
    tasks_processed: int = 0
    total_execution_time: float = 0.0
    """Seconds."""
    status: Literal["idle", "busy"] = "idle"

    def stats(self) -> dict[str, int | float | str]:
        """What it has done, without its name."""
        return {
            "tasks_processed": self.tasks_processed,
            "total_execution_time": self.total_execution_time,
            "status": self.status,
        }
