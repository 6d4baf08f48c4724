"""Threads that may be left behind: a call that hangs costs its thread, never the caller or the shutdown."""

import asyncio
import inspect
import logging
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any

from mynah_resilience.threads import DaemonThreads
from mynah_tasks.executors.errors import AllThreadsHung, ExecutorsClosed
from mynah_tasks.executors.limit import within

log = logging.getLogger(__name__)


class ThreadPool:
    """At most `size` calls at a time, first come, first served; a thread is busy until its call really returns.

    A call past its deadline is reported at once and counted as hung. Waiting for a thread is no part of a call's
    deadline; it ends with AllThreadsHung when no thread can be expected back.
    """

    def __init__(self, size: int, name: str) -> None:
        self._threads = DaemonThreads(size, name)
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed = False
        self.busy = 0
        """How many threads are inside a call, the hung ones included."""

    @property
    def size(self) -> int:
        """How many threads there may be."""
        return self._threads.size

    @property
    def hung(self) -> tuple[str, ...]:
        """What the threads are stuck in whose callers have gone."""
        return self._threads.hung

    async def run(
        self,
        fn: Callable[[Any], Any],
        payload: object,
        *,
        timeout: float | None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> Any:
        """What `fn(payload)` returns or raises, in a thread and in the caller's context; an awaitable is awaited."""
        async with self._turn:
            while not self._has_place():
                self._news.clear()
                await self._news.wait()
            on_begin()
            call = self._threads.submit(fn, payload)
            self.busy += 1
        call.add_done_callback(partial(self._returned, asyncio.get_running_loop()))
        try:
            async with within(timeout):
                result = await asyncio.wrap_future(call)
                return await result if inspect.isawaitable(result) else result
        finally:
            self._news.set()  # it may be the last thread that hangs

    async def aclose(self, grace: float) -> None:
        """End all threads; those inside a call get `grace` seconds to come back and are then left behind."""
        self._closed = True
        self._threads.shutdown()
        self._news.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                while self.busy:
                    self._news.clear()
                    await self._news.wait()
        if self.busy:
            log.warning("%s leaves %d threads behind, hung in %s", self._threads.name, self.busy, ", ".join(self.hung))

    def _has_place(self) -> bool:
        if self._closed:
            raise ExecutorsClosed(f"{self._threads.name} is closed")
        if self.busy < self.size:
            return True
        if len(self.hung) == self.size:
            raise AllThreadsHung(self._threads.name, self.hung)
        return False

    def _returned(self, loop: asyncio.AbstractEventLoop, _: Future[Any]) -> None:
        try:
            loop.call_soon_threadsafe(self._release)
        except RuntimeError:
            log.debug("a thread of %s outlived its event loop", self._threads.name)

    def _release(self) -> None:
        self.busy -= 1
        self._news.set()
