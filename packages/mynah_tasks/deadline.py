"""A limit to waiting, by a clock that is given."""

import asyncio
from types import TracebackType

from mynah_tasks.clock import Clock


class Deadline:
    """A block that raises TimeoutError when it has not ended within `seconds`."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._timer = self._clock.call_at(self._clock.monotonic() + self._seconds, self._pass)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _pass(self) -> None:
        self._limit.reschedule(asyncio.get_running_loop().time())


async def pause(clock: Clock, seconds: float) -> None:
    """Do nothing for so long."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(clock.monotonic() + seconds, lambda: None if over.done() else over.set_result(None))
    try:
        await over
    finally:
        timer.cancel()
