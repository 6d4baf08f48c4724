"""For tests: time that stands still until it is moved, and work that goes on until it is told to end."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from mynah_tasks.context import current_claim
from mynah_tasks.stores import Claim


class ManualTimer:
    """A call that a ManualClock owes."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Forget the call."""
        self.callback = None

    def ring(self) -> None:
        """Make the call, unless it was cancelled; once."""
        callback, self.callback = self.callback, None
        if callback:
            callback()


class ManualClock:
    """A clock that goes on when told to; begins at noon on a Monday."""

    def __init__(self) -> None:
        self._now = 1000.0
        self._wall = 1_735_560_000.0
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._numbers = itertools.count()
        self._set = asyncio.Event()

    def wall(self) -> float:
        """Seconds since 1970."""
        return self._wall

    def monotonic(self) -> float:
        """Seconds since long ago."""
        return self._now

    def call_at(self, when: float, callback: Callable[[], None]) -> ManualTimer:
        """Call back when time has been moved so far."""
        timer = ManualTimer(callback)
        if when <= self._now:
            asyncio.get_running_loop().call_soon(timer.ring)
            return timer
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        self._set.set()
        return timer

    def advance(self, seconds: float) -> None:
        """Move time on; what becomes due is called in its order, at its moment."""
        until = self._now + seconds
        while (when := self._next()) is not None and when <= until:
            _, _, timer = heapq.heappop(self._timers)
            self._move(max(when, self._now))
            timer.ring()
        self._move(until)

    def jump(self, seconds: float) -> None:
        """Set the wall clock to another time, as a user or a time server does."""
        self._wall += seconds

    async def timer(self) -> float:
        """Wait until a timer is set; the seconds until the first one is due."""
        while (when := self._next()) is None:
            self._set.clear()
            await self._set.wait()
        return when - self._now

    async def to_next_timer(self) -> float:
        """Wait until a timer is set, and move time to where the first one is due; by how many seconds."""
        seconds = max(await self.timer(), 0.0)
        self.advance(seconds)
        return seconds

    def _next(self) -> float | None:
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def _move(self, to: float) -> None:
        self._wall += to - self._now
        self._now = to


class Act:
    """An attempt that waits for the test to end it."""

    def __init__(self, payload: Any, claim: Claim) -> None:
        self.payload = payload
        self.claim = claim
        self._end: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def succeed(self, result: Any = None) -> None:
        """Let the attempt return."""
        self._end.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Let the attempt raise."""
        self._end.set_exception(error)

    @property
    def was_cancelled(self) -> bool:
        """Whether the engine stopped it."""
        return self._end.cancelled()

    async def play(self) -> Any:
        """The attempt itself."""
        return await self._end


class Puppet:
    """A processor whose attempts begin and then wait for the test."""

    def __init__(self) -> None:
        self._begun: asyncio.Queue[Act] = asyncio.Queue()
        self.acts: list[Act] = []

    async def __call__(self, payload: Any) -> Any:
        """Begin an attempt."""
        act = Act(payload, current_claim())
        self.acts.append(act)
        self._begun.put_nowait(act)
        return await act.play()

    async def next(self) -> Act:
        """The next attempt, once it has begun."""
        return await self._begun.get()
