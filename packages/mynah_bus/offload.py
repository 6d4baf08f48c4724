"""The one door for work that would hold up the event loop: a thread, or the one thread of a model.

Pure Python that holds the interpreter's lock belongs into a process: `mynah_tasks.executors` has those.
"""

import asyncio
import heapq
import inspect
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, Final, Self, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

EXIT_HUNG: Final = 70
"""Exit code of a worker whose model did not come back (EX_SOFTWARE of sysexits.h)."""


class Watchdog:
    """A thread that ends the process when a model call outlives its hard deadline: a thread cannot be killed.

    Whoever supervises the worker starts it again; its requests have moved to another one by then.
    """

    def __init__(self, exit_process: Callable[[int], object] = os._exit) -> None:
        self._exit = exit_process
        self._condition = threading.Condition()
        self._deadlines: list[tuple[float, int, str]] = []
        self._over: set[int] = set()
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None

    @contextmanager
    def guarding(self, what: str, seconds: float | None) -> Iterator[None]:
        """Expect the block to end within that many seconds; None: whenever it likes."""
        if seconds is None:
            yield
            return
        number = self.expect_end(what, seconds)
        try:
            yield
        finally:
            with self._condition:
                self._over.add(number)

    def expect_end(self, what: str, seconds: float) -> int:
        """Expect the process to end within that many seconds, or what has the number that is returned."""
        number = next(self._numbers)
        with self._condition:
            heapq.heappush(self._deadlines, (time.monotonic() + seconds, number, what))
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
            self._condition.notify()
        return number

    def _watch(self) -> None:
        with self._condition:
            while True:
                while self._deadlines and self._deadlines[0][1] in self._over:
                    self._over.discard(heapq.heappop(self._deadlines)[1])
                if not self._deadlines:
                    self._condition.wait()
                    continue
                due, _, what = self._deadlines[0]
                left = due - time.monotonic()
                if left > 0:
                    self._condition.wait(left)
                    continue
                heapq.heappop(self._deadlines)
                sys.stderr.write(
                    f"{what} has not come back within its deadline; the worker exits to be started again\n"
                )
                sys.stderr.flush()
                self._exit(EXIT_HUNG)


watchdog = Watchdog()
"""Of this process."""


async def in_thread(
    call: Callable[..., T], /, *args: Any, deadline: float | None = None, watchdog: Watchdog = watchdog
) -> T:
    """Run native code that releases the interpreter's lock in a thread.

    After `deadline` seconds the process ends with EXIT_HUNG.
    """
    with watchdog.guarding(getattr(call, "__qualname__", str(call)), deadline):
        return await asyncio.to_thread(call, *args)


async def duck_typed(part: object, name: str, *args: Any, deadline: float | None = None) -> Any:
    """Await `part.name_async(*args)` where there is one, else run `part.name(*args)` in a thread: never both."""
    native = getattr(part, f"{name}_async", None)
    if native is not None and inspect.iscoroutinefunction(native):
        return await native(*args)
    return await in_thread(getattr(part, name), *args, deadline=deadline)


class ModelThread:
    """The one thread of a model that is not thread-safe; calls run one after the other.

    A call whose caller has gone runs to its end, one that has not begun is dropped. Leaving the block waits for the
    call at work, at most `grace` seconds.
    """

    def __init__(self, name: str, *, grace: float = 2.0, watchdog: Watchdog = watchdog) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)
        self._name = name
        self._grace = grace
        self._watchdog = watchdog
        self._at_work: set[Future[Any]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        if self._at_work:
            await asyncio.wait({asyncio.wrap_future(future) for future in self._at_work}, timeout=self._grace)

    async def __call__(self, call: Callable[..., T], /, *args: Any, deadline: float | None = None) -> T:
        """Run a call in the model's thread; after `deadline` seconds of it the process ends with EXIT_HUNG."""
        future = self._executor.submit(copy_context().run, self._guarded, call, args, deadline)
        self._at_work.add(future)
        future.add_done_callback(self._at_work.discard)
        return await asyncio.wrap_future(future)

    def _guarded(self, call: Callable[..., T], args: tuple[Any, ...], deadline: float | None) -> T:
        with self._watchdog.guarding(f"{self._name}: {getattr(call, '__qualname__', call)}", deadline):
            return call(*args)
