"""What an event loop is doing."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """What an operator sees of an event loop; `PYTHONASYNCIODEBUG=1` turns debugging on and logs slow callbacks."""

    is_running: bool
    is_closed: bool
    is_debugging: bool


def loop_status(loop: asyncio.AbstractEventLoop | None = None) -> LoopStatus:
    """The status of `loop`, by default the running one."""
    loop = loop or asyncio.get_running_loop()
    return LoopStatus(loop.is_running(), loop.is_closed(), loop.get_debug())


class Stopwatch:
    """Times a block by a monotonic clock: `with Stopwatch() as watch: …`, then `watch.seconds`."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = 0.0
        self._ended: float | None = None

    @property
    def seconds(self) -> float:
        """How long the block took, or takes so far."""
        return (self._clock() if self._ended is None else self._ended) - self._started

    def __enter__(self) -> Self:
        self._started, self._ended = self._clock(), None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended = self._clock()
