"""Events within a process."""

import asyncio
import contextvars
import functools
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Self

from mynah_resilience.calls import invoke
from mynah_resilience.confinement import OneThread
from mynah_resilience.threads import DaemonThreads

log = logging.getLogger(__name__)

Handler = Callable[[Any], object]
"""Takes what was published; a plain function runs in a thread, a coroutine function on the event loop."""

THREADS = 4
"""Plain handlers that may block at the same time."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that was published."""

    name: str
    data: object
    at: float
    """Seconds since the epoch."""


class EventBus:
    """Tells handlers what happened, each on its own: a slow or failing one touches no other and no publisher.

    A handler hears its events one after the other, in order; different handlers run at the same time. `publish` waits
    until all have heard it, but `patience` seconds at most: a slower handler goes on by itself, and when it is
    `backlog` events behind it misses the oldest. The last `history` events are kept.

    Belongs to one thread; other threads use `publish_threadsafe`. Leaving `async with` lets the handlers finish for
    `grace` seconds and cancels what still runs.
    """

    def __init__(
        self,
        *,
        history: int = 100,
        patience: float = 0.05,
        backlog: int = 100,
        grace: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._history: deque[Event] = deque(maxlen=history)
        self._patience = patience
        self._backlog = backlog
        self._grace = grace
        self._clock = clock
        self._thread = OneThread("event bus")
        self._loop: asyncio.AbstractEventLoop | None = None
        # Threads of their own, so that handlers that hang do not keep models from running.
        self._threads = DaemonThreads(THREADS, "events")
        self._listeners: defaultdict[str, list[_Listener]] = defaultdict(list)
        self._working: set[asyncio.Task[None]] = set()

    @property
    def history(self) -> tuple[Event, ...]:
        """The last events, oldest first."""
        return tuple(self._history)

    def subscribe(self, event: str, handler: Handler) -> None:
        """Have `handler(data)` called for each `event` from now on."""
        self._listeners[event].append(_Listener(event, handler, self._backlog, self._threads, self._working))

    def unsubscribe(self, event: str, handler: Handler) -> bool:
        """Stop calling `handler`, also for what it has not heard yet; whether it had been subscribed."""
        leaving = [listener for listener in self._listeners[event] if listener.handler == handler]
        for listener in leaving:
            self._listeners[event].remove(listener)
            listener.forget()
        return bool(leaving)

    async def publish(self, event: str, data: object = None) -> None:
        """Tell everyone who subscribed to `event`."""
        self._thread.check()
        self._history.append(Event(event, data, self._clock()))
        heard = [listener.tell(data) for listener in self._listeners.get(event, ())]
        if heard:
            await asyncio.wait(heard, timeout=self._patience)

    def publish_threadsafe(self, event: str, data: object = None) -> Future[None]:
        """Publish from any thread, on a bus that was entered."""
        if self._loop is None:
            raise RuntimeError("the event bus was not entered")
        return asyncio.run_coroutine_threadsafe(self.publish(event, data), self._loop)

    async def __aenter__(self) -> Self:
        self._thread.check()
        self._loop = asyncio.get_running_loop()
        self._threads.reopen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        if self._working:
            _, late = await asyncio.wait(self._working, timeout=self._grace)
            for task in late:
                task.cancel()
            if late:
                # Bounded too: a handler may refuse to be cancelled.
                await asyncio.wait(late, timeout=self._grace)
        self._threads.shutdown(wait=False, cancel_futures=True)


class _Told(NamedTuple):
    """One event on its way to one handler."""

    data: object
    heard: asyncio.Future[None]
    context: contextvars.Context
    """The publisher's, so that the handler's log lines belong to the same turn."""


class _Listener:
    """One subscription: a bounded queue and, while there is something in it, a task that empties it."""

    def __init__(
        self,
        event: str,
        handler: Handler,
        backlog: int,
        threads: DaemonThreads,
        working: set[asyncio.Task[None]],
    ) -> None:
        self.handler = handler
        self._event = event
        self._backlog = backlog
        self._threads = threads
        self._working = working
        self._is_working = False
        self._waiting: deque[_Told] = deque()

    def tell(self, data: object) -> asyncio.Future[None]:
        """Queue `data`; the future is done when the handler is done with it, or will not hear it."""
        told = _Told(data, asyncio.get_running_loop().create_future(), contextvars.copy_context())
        if len(self._waiting) == self._backlog:
            self._waiting.popleft().heard.cancel()
            log.warning("%r is %d events behind and misses one %s", self.handler, self._backlog, self._event)
        self._waiting.append(told)
        if not self._is_working:
            self._is_working = True
            task = asyncio.create_task(self._work(), name=f"event {self._event}")
            self._working.add(task)
            task.add_done_callback(self._working.discard)
        return told.heard

    def forget(self) -> None:
        """Drop what the handler has not heard yet."""
        while self._waiting:
            self._waiting.popleft().heard.cancel()

    async def _work(self) -> None:
        try:
            while self._waiting:
                told = self._waiting.popleft()
                run = asyncio.create_task(self._call(told.data), name=f"handle {self._event}", context=told.context)
                (outcome,) = await asyncio.gather(run, return_exceptions=True)
                if isinstance(outcome, Exception):
                    log.error("%r failed on %s", self.handler, self._event, exc_info=outcome)
                told.heard.set_result(None)
        finally:
            self._is_working = False

    async def _call(self, data: object) -> None:
        try:
            await invoke(functools.partial(self.handler, data), executor=self._threads)
        except SystemExit as error:  # it would end the event loop
            raise RuntimeError(f"raised {error!r}") from error
