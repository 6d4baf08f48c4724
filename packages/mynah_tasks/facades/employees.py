"""The employee pool: many pieces of work at once, their results in order."""

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import TaskError
from mynah_tasks.facades.facade import Facade
from mynah_tasks.presets import POOL
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Store
from mynah_tasks.task import TaskResult
from mynah_tasks.task_types import TaskType, create_task, register_all

LONGEST_WAIT = 365 * 86_400.0
"""Seconds for which a piece waits for its place in the line."""
Work = Callable[[], Any]
"""A coroutine function, or a plain one, which runs in a thread; an awaitable that this returns is awaited, too."""


class WorkFailed(TaskError):
    """A piece of work did not complete."""

    code = "work_failed"


class EmployeePool(Facade):
    """Does as many pieces of work at a time as there are workers; begins none of them twice."""

    def __init__(self, max_workers: int = POOL.workers, *, store: Store | None = None) -> None:
        size = max_workers
        super().__init__(TaskEngine(store, max_workers=size, max_thread_workers=size, queue_size=POOL.capacity))
        register_all(self.engine)

    async def execute_parallel(self, tasks: Iterable[Work], *, timeout: float | None = POOL.timeout) -> list[Any]:
        """What the pieces return, in their order, each within `timeout` seconds; cancelled, it cancels them.

        Raises WorkFailed, naming the first that did not complete, when all have ended; what is refused stops all.
        """
        doing = [asyncio.ensure_future(self._do(work, timeout)) for work in tuple(tasks)]
        try:
            results = await asyncio.gather(*doing)
        finally:
            await asyncio.gather(*(each for each in doing if each.cancel()), return_exceptions=True)
        for number, result in enumerate(results):
            if result.status is not TaskStatus.COMPLETED:
                raise WorkFailed(f"piece {number} ended {result.status}: {result.error}")
        return [result.result for result in results]

    async def _do(self, work: Work, timeout: float | None) -> TaskResult:
        payload, blocks = {"processor": lambda _: work()}, not inspect.iscoroutinefunction(work)
        task = create_task(TaskType.CUSTOM, payload, io_bound=blocks, timeout=timeout, max_retries=0)
        await self.engine.submit(task, wait=LONGEST_WAIT)
        try:
            return await self.engine.wait_for_task(task.id)
        except asyncio.CancelledError:
            await self._call_off(task.id)
            raise
