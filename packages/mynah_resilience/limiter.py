"""Limits how often something is done: a token bucket with a queue."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from mynah_resilience.confinement import OneThread


class RateLimiter:
    """Lets `requests_per_minute` through, evenly refilled, as `async with limiter:`.

    Burst: after a quiet minute all of them pass at once (`burst`, by default a minute's worth), then one every
    60/`requests_per_minute` seconds; so no minute ever sees more than `burst + requests_per_minute`. Who came first
    goes first; who gives up while waiting costs nobody a place. Belongs to one event loop.
    """

    def __init__(
        self,
        requests_per_minute: float = 60,
        burst: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        burst = max(1, int(requests_per_minute)) if burst is None else burst
        if requests_per_minute <= 0 or burst < 1:
            raise ValueError("a limiter lets something through: requests_per_minute > 0, burst >= 1")
        self._interval = 60 / requests_per_minute
        self._slack = self._interval * (burst - 1)
        self._clock = clock
        self._wait = wait
        self._thread = OneThread("rate limiter")
        # The bucket as a single number (GCRA): when it will be full again, less one interval.
        self._due = -float("inf")
        self._queue: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def retry_in(self) -> float:
        """Seconds until one more would pass, were nobody waiting; 0 when it would now."""
        return max(0.0, self._due - self._slack - self._clock())

    def try_acquire(self) -> bool:
        """Pass if that is possible at once; never overtakes who waits."""
        self._thread.check()
        if self._queue or self.retry_in:
            return False
        self._take()
        return True

    async def acquire(self) -> None:
        """Pass, sooner or later."""
        if self.try_acquire():
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue[turn] = None
        try:
            if self._first() is not turn:
                await turn
            while delay := self.retry_in:
                await self._wait(delay)
            self._take()
        finally:
            del self._queue[turn]
            if self._queue and not self._first().done():
                self._first().set_result(None)

    async def __aenter__(self) -> Self:
        await self.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to give back: what was done was done."""

    def _first(self) -> asyncio.Future[None]:
        return next(iter(self._queue))

    def _take(self) -> None:
        self._due = max(self._due, self._clock()) + self._interval
