"""One recognition, in the words of a voice engine."""

import time
from dataclasses import dataclass, field
from typing import Any, Self

from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Entry, Priority, Task, new_id

VOICE_RECOGNITION = "voice_recognition"


@dataclass(frozen=True, slots=True)
class VoiceTask:
    """What is wanted, and how far it is."""

    task_id: str = field(default_factory=new_id)
    text: str | None = None
    confidence: float = 0.0
    """0 to 1."""
    timestamp: float = field(default_factory=time.time)
    """When it was asked for, in seconds since 1970."""
    status: TaskStatus = TaskStatus.PENDING
    result: Any = None
    error: str | None = None
    priority: int = 0
    """0 normal, 1 high, 2 critical."""
    retries: int = 0
    max_retries: int = 3

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """A task of the engine and its state."""
        task, state = entry
        heard = state.result if isinstance(state.result, dict) else task.payload or {}
        return cls(
            task_id=task.id,
            text=heard.get("text"),
            confidence=heard.get("confidence", 0.0),
            timestamp=state.created_at,
            status=state.status,
            result=state.result,
            error=state.error,
            priority=min(2, max(0, Priority.NORMAL - task.priority)),
            retries=max(0, state.attempts - 1),
            max_retries=task.max_retries,
        )

    def to_task(self) -> Task:
        """The task for the engine."""
        return Task(
            VOICE_RECOGNITION,
            {"text": self.text, "confidence": self.confidence},
            Priority.from_urgency(self.priority),
            self.task_id,
            max_retries=self.max_retries,
        )
