"""Whether the other end of a connection is still there, and whether this process itself stood still."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

KEEPALIVE: Final = 5
SILENCE: Final = 1.5 * KEEPALIVE
"""Seconds without a word after which the other end is gone, as the broker holds it with us."""
ASKS_AFTER: Final = KEEPALIVE / 2
BEAT: Final = 0.25
"""Seconds between two looks at the clock and the connection."""


class Pulse:
    """Beats while a connection lasts: calls `ask` when the other end says nothing, `cut` when it does not answer."""

    def __init__(self, *, ask: Callable[[], None], cut: Callable[[], None]) -> None:
        self._ask = ask
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._heard_at = self._said_at = self._asked_at = self._turned_at = self._loop.time()
        self._stood = 0.0
        self._stood_until = 0.0

    def begin(self) -> None:
        """Beat, from now on."""
        self._heard_at = self._turned_at = self._loop.time()
        self._timer = self._loop.call_later(BEAT, self._beat)

    def end(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()

    def said(self) -> None:
        """Something was written."""
        self._said_at = self._loop.time()

    def heard(self) -> None:
        """Something is there to be read."""
        self._heard_at = now = self._loop.time()
        self._look(now)

    @property
    def waited(self) -> float:
        """Seconds that what is read now may have waited unread, because this process stood still."""
        return self._stood if self._stood and self._loop.time() < self._stood_until else 0.0

    def _beat(self) -> None:
        now = self._loop.time()
        self._timer = self._loop.call_later(BEAT, self._beat)
        self._look(now)
        if now - self._heard_at > SILENCE:
            log.warning("The broker has not answered for %.1f s", SILENCE)
            self._cut()
        elif now - max(self._asked_at, min(self._heard_at, self._said_at)) > ASKS_AFTER:
            self._asked_at = now
            self._ask()

    def _look(self, now: float) -> None:
        """Notice that this process stood still: what is read now may be old, and the broker may have given us up."""
        stood = now - self._turned_at
        self._turned_at = now
        if stood > 2 * BEAT:
            self._stood, self._stood_until = stood, now + BEAT / 5
            if stood > SILENCE:
                log.warning("This process stood still for %.1f s; it connects again", stood)
                self._cut()
