"""A clock that tests set."""

import asyncio
import heapq
import itertools


class FakeClock:
    """Time that passes only when told: `clock()` is now, `await clock.sleep(s)` returns once it has advanced enough."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._number = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        """Seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was advanced by `seconds`."""
        waiting = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._number), waiting))
        await waiting

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, waking each sleeper at its own time and letting it do what it can."""
        end = self._now + seconds
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, waiting = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not waiting.done():
                waiting.set_result(None)
            await self.settle()
        self._now = end

    @staticmethod
    async def settle(turns: int = 20) -> None:
        """Let what is ready run."""
        for _ in range(turns):
            await asyncio.sleep(0)
