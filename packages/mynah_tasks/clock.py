"""Time, as a parameter."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

AGAIN_IN: Final = 1.0
"""Seconds after which a store that failed is asked again."""


class Timer(Protocol):
    """A call that is due."""

    def cancel(self) -> None:
        """Forget the call; harmless when it has happened."""


class Clock(Protocol):
    """Tells the time and calls back at one; `wall` and `monotonic` may be read from any thread."""

    def wall(self) -> float:
        """Seconds since 1970: for people and for records."""

    def monotonic(self) -> float:
        """Seconds since some moment: for durations."""

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop once `monotonic` has reached `when`."""


class SystemClock:
    """The time of this machine, timers of the running event loop."""

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

    def call_at(self, when: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop once `monotonic` has reached `when`."""
        return asyncio.get_running_loop().call_later(when - time.monotonic(), callback)
