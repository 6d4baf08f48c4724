"""Worker processes that can be killed: one task each, and a fresh one in the place of each that had to go."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from mynah_tasks.executors.codec import import_name
from mynah_tasks.executors.errors import ExecutorsClosed, ProcessDied
from mynah_tasks.executors.limit import within
from mynah_tasks.executors.worker import WorkerProcess

log = logging.getLogger(__name__)

CRASH_BUDGET = 5
"""So many processes that died by themselves within `BUDGET_FOR` seconds are too many."""
BUDGET_FOR = 60.0


class ProcessPool:
    """At most `size` worker processes, started when needed.

    A deadline or a cancellation kills exactly the process that works on the task; a process that dies fails only
    its task. Waiting for a process, and its start, are no part of the deadline.
    """

    def __init__(self, size: int, *, memory_limit: int | None = None) -> None:
        if size < 1:
            raise ValueError(f"a process pool needs at least one process, not {size}")
        self.size = size
        self.replaced = 0
        """How many processes had to go: killed at a deadline or a cancellation, or died."""
        self._memory_limit = memory_limit
        self._slots = asyncio.Semaphore(size)
        self._idle: deque[WorkerProcess] = deque()
        self._workers: set[WorkerProcess] = set()
        self._deaths: deque[float] = deque(maxlen=CRASH_BUDGET)
        self._closed = False

    @property
    def busy(self) -> int:
        """How many processes are inside a task."""
        return sum(worker.busy for worker in self._workers)

    @property
    def is_crashing(self) -> bool:
        """Whether the crash budget is used up."""
        return len(self._deaths) == CRASH_BUDGET and time.monotonic() - self._deaths[0] < BUDGET_FOR

    async def run(
        self,
        fn: Callable[[Any], Any],
        payload: object,
        *,
        timeout: float | None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> Any:
        """What `fn(payload)` returns in a worker process; `fn` travels by its import name, never by value.

        Raises:
            NotPortable: the function or the payload cannot travel.
            DeadlineExceeded: the process was killed, it took too long.
            ProcessDied: the process ended on its own.
            RemoteFailure: the function raised.
        """
        path = import_name(fn)
        async with self._slots:
            worker = self._take()
            try:
                await worker.ready()
                on_begin()
                async with within(timeout):
                    return await worker.call(path, payload)
            except ProcessDied as error:
                if self._closed:
                    raise ExecutorsClosed("the worker processes were closed in the middle of a task") from error
                self._deaths.append(time.monotonic())
                raise
            finally:
                self._give_back(worker)

    async def aclose(self, grace: float) -> None:
        """Kill all processes and see them gone, within `grace` seconds."""
        self._closed = True
        for worker in self._workers:
            worker.kill()
        if lives := {worker.life for worker in self._workers}:
            _, left = await asyncio.wait(lives, timeout=grace)
            if left:
                log.error("%d killed worker processes have not gone after %g s", len(left), grace)

    def _take(self) -> WorkerProcess:
        if self._closed:
            raise ExecutorsClosed("the worker processes are closed")
        while self._idle:
            worker = self._idle.pop()
            if worker.alive:
                return worker
        return self._start()

    def _give_back(self, worker: WorkerProcess) -> None:
        if not worker.busy and worker.alive:
            self._idle.append(worker)
            return
        self.replaced += 1
        worker.kill()
        if not self._closed:
            self._idle.appendleft(self._start())

    def _start(self) -> WorkerProcess:
        worker = WorkerProcess(self._memory_limit)
        self._workers.add(worker)
        worker.life.add_done_callback(lambda life: self._ended(worker, life))
        return worker

    def _ended(self, worker: WorkerProcess, life: asyncio.Task[int]) -> None:
        self._workers.discard(worker)
        if life.cancelled():
            return
        if (error := life.exception()) is not None:
            log.error("a worker process could not run: %s", error)
