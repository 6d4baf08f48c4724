"""Threads that may be left behind: a call that hangs costs its thread, never the caller or the shutdown."""

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from mynah_tasks.executors.errors import AllThreadsHung, DeadlineExceeded, ExecutorsClosed

log = logging.getLogger(__name__)


class ThreadPool:
    """At most `size` daemon threads, started when needed; a thread is busy until its call really returns.

    A call past its deadline is reported at once and its thread counted as hung. Waiting for a thread is no part of a
    call's deadline; it ends with AllThreadsHung when no thread can be expected back.
    """

    def __init__(self, size: int, name: str) -> None:
        if size < 1:
            raise ValueError(f"a thread pool needs at least one thread, not {size}")
        self.size = size
        self._name = name
        self._started = 0
        self._idle: list[_Thread] = []
        self._busy: set[_Thread] = set()
        self._hung: dict[_Thread, str] = {}
        self._waiting: deque[asyncio.Future[_Thread]] = deque()
        self._closed = False

    @property
    def busy(self) -> int:
        """How many threads are inside a call, the hung ones included."""
        return len(self._busy)

    @property
    def hung(self) -> tuple[str, ...]:
        """What the threads are stuck in whose callers have gone."""
        return tuple(self._hung.values())

    async def run(
        self,
        fn: Callable[[Any], Any],
        payload: object,
        *,
        timeout: float | None,
        on_begin: Callable[[], None] = lambda: None,
    ) -> Any:
        """What `fn(payload)` returns or raises, in a thread and in the caller's context."""
        thread = await self._take()
        on_begin()
        outcome = thread.call(contextvars.copy_context(), fn, payload)
        try:
            async with asyncio.timeout(timeout) as deadline:
                return await outcome
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise DeadlineExceeded(f"no answer after {timeout:g} s; its thread is still busy") from error
        finally:
            if outcome.cancelled():
                self._abandon(thread, fn)

    async def aclose(self, grace: float) -> None:
        """End all threads; those inside a call get `grace` seconds to come back and are then left behind."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(ExecutorsClosed(f"{self._name} closes"))
        threads = {*self._idle, *self._busy}
        for thread in threads:
            thread.leave()
        if threads:
            await asyncio.wait([thread.ended for thread in threads], timeout=grace)
        if left := [thread.name for thread in threads if not thread.ended.done()]:
            log.warning("%s leaves %d hung threads behind: %s", self._name, len(left), ", ".join(sorted(left)))

    async def _take(self) -> "_Thread":
        if self._closed:
            raise ExecutorsClosed(f"{self._name} is closed")
        if self._idle:
            thread = self._idle.pop()
        elif self._started < self.size:
            thread = _Thread(f"{self._name}-{self._started}", self._give_back)
            self._started += 1
        else:
            return await self._wait()
        self._busy.add(thread)
        return thread

    async def _wait(self) -> "_Thread":
        if len(self._hung) == self.size:
            raise self._nobody_left()
        waiting: asyncio.Future[_Thread] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            return await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                self._give_back(waiting.result())
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)

    def _give_back(self, thread: "_Thread") -> None:
        """Hand a thread whose call has returned to who waits longest."""
        if (work := self._hung.pop(thread, None)) is not None:
            log.warning("%s came back from %s", thread.name, work)
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(thread)
                return
        self._busy.discard(thread)
        self._idle.append(thread)

    def _abandon(self, thread: "_Thread", fn: Callable[[Any], Any]) -> None:
        work = getattr(fn, "__qualname__", repr(fn))
        self._hung[thread] = work
        log.warning("%s is left alone with %s (%d of %d hung)", thread.name, work, len(self._hung), self.size)
        if len(self._hung) == self.size:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(self._nobody_left())

    def _nobody_left(self) -> AllThreadsHung:
        return AllThreadsHung(f"all {self.size} threads of {self._name} hang in {', '.join(self._hung.values())}")


class _Thread:
    """One daemon thread, which neither holds up the loop nor the end of the interpreter."""

    def __init__(self, name: str, returned: Callable[["_Thread"], None]) -> None:
        self.name = name
        self._returned = returned
        self._loop = asyncio.get_running_loop()
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def call(self, context: contextvars.Context, fn: Callable[[Any], Any], payload: object) -> asyncio.Future[Any]:
        """The answer of `fn(payload)`, which begins at once."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._calls.put(_Call(answer, context, fn, payload))
        return answer

    def leave(self) -> None:
        """End after the present call."""
        self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            result, error = call()
            self._post(self._settle, call.answer, result, error)
            del call, result, error  # what was worked on must not live until the next call
        self._post(_resolve, self.ended)

    def _post(self, fn: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(fn, *args)
        except RuntimeError:
            log.debug("%s outlived its event loop", self.name)

    def _settle(self, answer: asyncio.Future[Any], result: object, error: BaseException | None) -> None:
        if not answer.done():
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)
        self._returned(self)


@dataclass(frozen=True, slots=True)
class _Call:
    answer: asyncio.Future[Any]
    context: contextvars.Context
    fn: Callable[[Any], Any]
    payload: object

    def __call__(self) -> tuple[Any, BaseException | None]:
        """The result and nothing, or nothing and what was raised."""
        try:
            return self.context.run(self.fn, self.payload), None
        except StopIteration as error:
            return None, RuntimeError(f"raised {error!r}")  # a future would refuse it
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            return None, error
        except BaseException as error:  # noqa: BLE001  # work may end itself, neither its thread nor the loop
            return None, RuntimeError(f"raised {error!r}")


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
