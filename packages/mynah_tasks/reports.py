"""What the engine makes of the news from its store: counts, log lines, events."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol

from mynah_tasks.clock import Clock
from mynah_tasks.deadline import Deadline
from mynah_tasks.metrics import Metrics
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Task, TaskResult

log = logging.getLogger(__name__)

AT_ONCE = 100
"""So many events are being published at a time."""
MOST_WAITING = 100_000
"""So many wait behind them; then the oldest are dropped."""
LAST_WORDS = 1.0
"""Seconds that publishing may go on after everything has been said."""


class Publisher(Protocol):
    """Where the engine says what happens; `mynah_resilience.EventBus` is one."""

    async def publish(self, event: str, data: object = None) -> None:
        """Tell everyone who wants to know."""


class News(NamedTuple):
    """An event that waits to be published."""

    event: str
    data: object
    context: contextvars.Context


class Reports:
    """The listener of the engine's store."""

    def __init__(
        self,
        metrics: Metrics | None,
        events: Publisher | None,
        clock: Clock,
        on_revoked: Callable[[str, int], None],
    ) -> None:
        self._metrics = metrics
        self._events = events
        self._clock = clock
        self._on_revoked = on_revoked
        self._publishing: set[asyncio.Task[None]] = set()
        self._unpublished: deque[News] = deque(maxlen=MOST_WAITING)
        self._cancelled: list[TaskResult] = []
        """Of whom the log does not know yet; thousands may go down with one."""
        self._watching: list[asyncio.Future[None]] = []

    def finished(self, task: Task, result: TaskResult) -> None:
        """Count a task that has its outcome, and say so."""
        if self._metrics:
            self._metrics.finished(result, self._clock.monotonic())
        if result.status is TaskStatus.COMPLETED:
            log.info("task %s completed in %.2f s", task.id, result.execution_time)
        elif result.status is TaskStatus.CANCELLED:
            self._cancelled.append(result)
            if len(self._cancelled) == 1:
                asyncio.get_running_loop().call_soon(self._sum_up)
        else:
            log.warning("task %s ended %s: %s", task.id, result.status, result.error)
        if self._events:
            self._publish(f"task_{result.status}", result)
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

    def _sum_up(self) -> None:
        cancelled, self._cancelled = self._cancelled, []
        first, others = cancelled[0], len(cancelled) - 1
        if others:
            told = f"{len(cancelled)} tasks ended cancelled, the first of them {first.task_id}"
        else:
            told = f"task {first.task_id} ended cancelled"
        log.warning("%s: %s", told, first.error)

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
        """Wait until everybody has heard everything, at most `LAST_WORDS` seconds."""
        try:
            if self._publishing:
                async with Deadline(self._clock, LAST_WORDS):
                    while self._publishing:
                        await asyncio.wait(self._publishing)
        except TimeoutError:
            left = len(self._publishing) + len(self._unpublished)
            log.warning("%d events were not heard by all", left)
        finally:
            self._unpublished.clear()
            for task in self._publishing:
                task.cancel()

    def _publish(self, event: str, data: object) -> None:
        if self._events is None:
            return
        self._unpublished.append(News(event, data, contextvars.copy_context()))
        self._go_on()

    def _go_on(self) -> None:
        """Publish what waits, as far as there is room."""
        while self._events and self._unpublished and len(self._publishing) < AT_ONCE:
            event, data, context = self._unpublished.popleft()
            task = asyncio.get_running_loop().create_task(self._events.publish(event, data), context=context)
            self._publishing.add(task)
            task.add_done_callback(partial(self._published, data))

    def _published(self, data: object, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled():
            if error := task.exception():
                log.error("an event could not be published", exc_info=error)
            elif isinstance(data, TaskResult):
                log.info("result of task %s published", data.task_id)
        self._go_on()
