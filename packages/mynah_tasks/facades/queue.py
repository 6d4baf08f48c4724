"""The asynchronous task queue: messages for one handler, under the names that gateways know."""

from collections.abc import Callable
from typing import Any

from mynah_tasks.engine import TaskEngine
from mynah_tasks.facades.facade import Facade
from mynah_tasks.presets import GATEWAY
from mynah_tasks.stores import Store
from mynah_tasks.task import Task, TaskResult

MESSAGE = "message"


class AsyncTaskQueue(Facade):
    """Gives what is enqueued to `handler(payload)`, five at a time, in the order in which it came.

    The store says where it waits: in memory when left out. `events` as for TaskEngine.
    """

    def __init__(
        self,
        handler: Callable[[Any], Any] | None = None,
        *,
        max_workers: int = GATEWAY.workers,
        queue_size: int = GATEWAY.capacity,
        store: Store | None = None,
        events: Any = None,
    ) -> None:
        super().__init__(TaskEngine(store, max_workers=max_workers, queue_size=queue_size, events=events))
        if handler:
            self.handle_with(handler)

    def handle_with(self, handler: Callable[[Any], Any]) -> None:
        """Have messages handled by it from now on; without a handler they are refused."""
        self.engine.register_processor(MESSAGE, handler)

    async def enqueue(
        self, payload: Any, *, timeout_seconds: float = 30.0, max_retries: int = 3, **options: Any
    ) -> str:
        """Accept a message, written down when this returns; its id. Raises QueueFull. Options are fields of Task."""
        task = Task(MESSAGE, payload, timeout=timeout_seconds, max_retries=max_retries, **options)
        return await self.engine.submit(task)

    async def wait_for_result(self, task_id: str, timeout: float | None = None) -> TaskResult:
        """Wait for what becomes of a message; raises TimeoutError after so many seconds."""
        return await self.engine.wait_for_task(task_id, timeout)

    def get_metrics(self) -> dict[str, int | float]:
        """Ten figures about the queue; success as a fraction of what has ended."""
        return self.engine.queue_metrics()

    async def get_dlq_tasks(self) -> list[dict[str, Any]]:
        """The messages that failed for good, the newest first."""
        return [letter.to_dict() for letter in await self.engine.dead_letters(limit=GATEWAY.capacity)]

    async def clear_dlq(self) -> int:
        """Forget them; how many there were."""
        return await self.engine.clear_dead_letters()
