"""A limit to waiting, by a clock that is given."""

import asyncio
from types import TracebackType
from typing import Self

from mynah_tasks.clock import Clock, Timer


class Deadline:
    """A block that raises TimeoutError when it has not ended within `seconds`; None means no limit."""

    def __init__(self, clock: Clock, seconds: float | None) -> None:
        self._clock = clock
        self._seconds = seconds
        self._timer: Timer | None = None
        self._has_passed = False

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        if self._seconds is not None:
            self._timer = self._clock.call_at(self._clock.monotonic() + self._seconds, self._pass)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer:
            self._timer.cancel()
        if self._has_passed and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError(f"not done within {self._seconds:g} s") from error

    def _pass(self) -> None:
        self._has_passed = True
        self._task.cancel()


async def pause(clock: Clock, seconds: float) -> None:
    """Do nothing for so long."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_at(clock.monotonic() + seconds, lambda: None if over.done() else over.set_result(None))
    try:
        await over
    finally:
        timer.cancel()
