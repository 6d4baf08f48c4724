"""Measures how long an event loop was blocked."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from mynah_resilience.delays import Delays

CLOSE = 0.005
"""Seconds between two looks at a busy loop: what a stall may be longer than it is measured."""
WIDE = 0.1
"""Seconds between two looks at an idle loop; a wake-up is dear on small machines and in sandboxes."""
ATTENTION = 1.0
"""Seconds for which a loop is looked at closely after the last sign of activity."""
NOTABLE = 0.025
"""Seconds; a stall this long is a sign of activity, shorter ones are the rule on a crowded machine."""
BUSY_SHARE = 0.1
"""Of the time between two looks, spent computing on the loop's thread: a sign of activity."""


class StallProbe:
    """Measures the stalls of the running loop, as `async with StallProbe() as probe:`; asyncio and uvloop alike.

    A timer says how late it is: close on each other while the loop works and for a second after, far apart while it
    idles. So a stall may be up to 5 ms longer than measured, and the first one after idling up to 100 ms.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._clock = clock
        self._cpu_clock = cpu_clock
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget what was measured."""
        self._delays = Delays()
        self._since = self._active_at = self._looked_at = self._clock()
        self._cpu = self._cpu_clock()

    @property
    def maximum_ms(self) -> float:
        """The longest stall, in milliseconds; also one that the reader itself is in."""
        self._look_now()
        return self._delays.maximum * 1000

    @property
    def p99_ms(self) -> float:
        """How long at most 99 % of what could have come in at any time waited for the loop, in milliseconds."""
        self._look_now()
        return self._delays.quantile(0.99, self._looked_at - self._since) * 1000

    async def __aenter__(self) -> Self:
        self.reset()
        self._arm()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._look_now()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._tick()

    def _tick(self) -> None:
        self._look()
        self._arm()

    def _arm(self) -> None:
        interval = CLOSE if self._looked_at - self._active_at < ATTENTION else WIDE
        self._due = self._looked_at + interval
        self._timer = asyncio.get_running_loop().call_later(interval, self._tick)

    def _look(self) -> None:
        now, cpu = self._clock(), self._cpu_clock()
        late = now - self._due
        if late > 0:
            self._delays.add(late)
        if late > NOTABLE or cpu - self._cpu > BUSY_SHARE * (now - self._looked_at):
            self._active_at = now
        self._looked_at, self._cpu = now, cpu
