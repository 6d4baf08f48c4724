"""The turn that was begun at a satellite last: it ends, come what may."""

import asyncio
from collections.abc import Callable
from typing import Final

from mynah_contracts import TurnEvent

PATIENCE_S: Final = 75.0
"""Without a sign of life of the turn for so long, it is given up; the router does sooner."""
OVER: Final = frozenset({"done", "cancelled", "failed"})


class OwnTurn:
    """Follows one turn after the other; `too_late` is called with it when there was no sign of it for `patience_s`."""

    def __init__(self, name: str, too_late: Callable[[str], None], *, patience_s: float = PATIENCE_S) -> None:
        self._name = name
        self._too_late = too_late
        self._patience_s = patience_s
        self._deadline: asyncio.TimerHandle | None = None
        self._last: TurnEvent | None = None
        self._over = asyncio.Event()
        self.id: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has begun and not ended."""
        return self.id is not None and not self._over.is_set()

    def begin(self, turn: str) -> None:
        """Follow this one from now on."""
        self.id = turn
        self._over.clear()
        self.live(turn)

    def live(self, turn: str | None) -> None:
        """A sign of life of a turn; ignored unless it is the one."""
        if turn is not None and self.is_running and turn == self.id:
            self._stop_clock()
            self._deadline = asyncio.get_running_loop().call_later(self._patience_s, self._too_late, turn)

    def follow(self, event: TurnEvent) -> None:
        """The router tells of a turn."""
        self.live(event.turn_id)
        if self.is_running and event.turn_id == self.id and event.phase in OVER:
            self._end(event)

    def give_up(self, error: str) -> None:
        """End it here: nobody else will."""
        if self.is_running:
            phase = "failed" if error else "cancelled"
            self._end(TurnEvent.received({"turn_id": self.id, "satellite": self._name, "phase": phase, "error": error}))

    async def ended(self) -> TurnEvent:
        """Wait for its end."""
        await self._over.wait()
        assert self._last is not None
        return self._last

    def close(self) -> None:
        """Wait for nothing any more."""
        self._stop_clock()

    def _end(self, event: TurnEvent) -> None:
        self._stop_clock()
        self._last = event
        self._over.set()

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
