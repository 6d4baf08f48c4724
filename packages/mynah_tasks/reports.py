"""What the engine makes of the news from its store: counts, log lines, events."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from mynah_tasks.metrics import Metrics
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Task, TaskResult

log = logging.getLogger(__name__)


class Publisher(Protocol):
    """Where the engine says what happens; `mynah_resilience.EventBus` is one."""

    async def publish(self, event: str, data: object = None) -> None:
        """Tell everyone who wants to know."""


class Reports:
    """The listener of the engine's store."""

    def __init__(
        self,
        metrics: Metrics | None,
        events: Publisher | None,
        monotonic: Callable[[], float],
        on_revoked: Callable[[str, int], None],
    ) -> None:
        self._metrics = metrics
        self._events = events
        self._monotonic = monotonic
        self._on_revoked = on_revoked
        self._publishing: set[asyncio.Task[None]] = set()
        self._watching: list[asyncio.Future[None]] = []

    def finished(self, task: Task, result: TaskResult) -> None:
        """Count a task that has its outcome, and say so."""
        if self._metrics:
            self._metrics.finished(result, self._monotonic())
        if result.status is TaskStatus.COMPLETED:
            log.info("task %s completed in %.2f s", task.id, result.execution_time)
        else:
            log.warning("task %s ended %s: %s", task.id, result.status, result.error)
        if self._events:
            self._publish(f"task_{result.status}", result)
            log.info("result of task %s published", task.id)
        while self._watching:
            future = self._watching.pop()
            if not future.done():
                future.set_result(None)

    def revoked(self, task_id: str, token: int) -> None:
        """Pass on that a claim is lost."""
        self._on_revoked(task_id, token)

    def queue_full(self, queue_size: int, capacity: int) -> None:
        """Say that a task was refused."""
        log.warning("queue full: %d tasks wait, %d may", queue_size, capacity)
        self._publish("queue_full", {"queue_size": queue_size, "capacity": capacity})

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; looks whenever a task has ended."""
        while not condition():
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watching.append(future)
            try:
                await future
            finally:
                if future in self._watching:
                    self._watching.remove(future)

    async def all_published(self) -> None:
        """Wait until everybody has heard everything."""
        if self._publishing:
            await asyncio.wait(self._publishing)

    def _publish(self, event: str, data: object) -> None:
        if self._events:
            self._keep(self._events.publish(event, data))

    def _keep(self, publishing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(publishing)
        self._publishing.add(task)
        task.add_done_callback(self._published)

    def _published(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an event could not be published", exc_info=error)
