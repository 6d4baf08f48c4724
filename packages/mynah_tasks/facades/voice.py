"""Listening without blocking: the voice engine's names over the task engine."""

import asyncio
import time

from mynah_resilience import CircuitBreaker, EventBus
from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import EngineStopped, QueueFull
from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.facades.facade import Facade
from mynah_tasks.facades.recognition import LATE, Ears, Recognition, log_events
from mynah_tasks.facades.voice_queue import AsyncVoiceQueue
from mynah_tasks.facades.voice_task import VOICE_RECOGNITION
from mynah_tasks.presets import VOICE
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Priority, Task

MARGIN = 2 * LATE  # seconds by which the queue's limits come after the end of listening: the breaker is to know first


class EnhancedVoiceEngine(Facade):
    """At most three recognitions at a time, the urgent ones first, behind a circuit breaker; none is tried again.

    Publishes `voice_recognized`, `voice_failed` (task_id, error), `circuit_breaker_open` and `queue_full`.
    """

    def __init__(self, ears: Ears, event_bus: EventBus | None = None) -> None:
        self.event_bus = event_bus or EventBus()
        self.circuit_breaker = CircuitBreaker("voice", on_event=self.event_bus.publish)
        store, executors = MemoryStore(), Executors(threads=VOICE.workers)
        self.voice_queue = AsyncVoiceQueue(store=store)
        engine = TaskEngine.sized(VOICE, store, executors=executors, events=self.event_bus)
        recognition = Recognition(ears, self.circuit_breaker, executors, self.event_bus)
        engine.register_processor(VOICE_RECOGNITION, recognition, kind=ExecutorKind.INLINE)
        super().__init__(engine, *(() if event_bus else (self.event_bus,)))
        log_events(self.event_bus)

    async def listen_async(self, timeout: float = 30.0, priority: int = 0) -> tuple[str | None, float]:
        """What is said within `timeout` seconds and how sure that is; None and 0.0 when nothing is, or it fails."""
        task = Task(
            VOICE_RECOGNITION,
            {"until": time.monotonic() + timeout},
            Priority.from_urgency(priority),
            timeout=timeout + MARGIN,
            expires_at=time.time() + timeout + MARGIN,
            max_retries=0,
        )
        try:
            await self.engine.submit(task)
            outcome = await self.engine.wait_for_task(task.id)
            error = outcome.error or "nothing was understood"
            if outcome.result and outcome.result["text"] is not None:
                return outcome.result["text"], outcome.result["confidence"]
        except (QueueFull, EngineStopped) as refusal:
            error = str(refusal)
        except asyncio.CancelledError:
            await self._call_off(task.id)
            raise
        await self.event_bus.publish("voice_failed", {"task_id": task.id, "error": error})
        return None, 0.0
