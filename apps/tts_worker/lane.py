"""Who may be spoken to, and how far ahead of the loudspeaker: one text after the other at each satellite."""

import asyncio
import time
from collections.abc import Callable
from typing import Self


class Lane:
    """The way to one loudspeaker; entered by one text at a time, in the order of asking."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._turn = asyncio.Lock()
        self._asking = 0
        self._silent_at = 0.0

    async def __aenter__(self) -> Self:
        """Wait until what was asked for earlier has been sent."""
        self._asking += 1
        try:
            await self._turn.acquire()
        except asyncio.CancelledError:
            self._asking -= 1
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        self._asking -= 1
        self._turn.release()

    @property
    def is_free(self) -> bool:
        """Whether nobody asks for it and all that was sent has been heard."""
        return not self._asking and self._silent_at <= self._clock()

    def sent(self, seconds: float) -> float:
        """So much more was sent: for how long the loudspeaker has something to play now."""
        now = self._clock()
        self._silent_at = max(self._silent_at, now) + seconds
        return self._silent_at - now

    def clear(self) -> None:
        """What was sent will not be heard."""
        self._silent_at = 0.0
