"""Rings timers when they are due, and tells what was due while nobody was here."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Final

from mynah_bus import ModelThread
from router_worker.answers import missed, rung
from router_worker.store import StoreError
from router_worker.timers import Timer, Timers

log = logging.getLogger(__name__)

CLOCK_CHECK_S: Final = 60.0


class Bell:
    """Watches the timers; `announce` says a text at the place where its timer was set."""

    def __init__(
        self, timers: Timers, thread: ModelThread, changed: asyncio.Event, announce: Callable[[str, str], None]
    ) -> None:
        self._timers = timers
        self._thread = thread
        self._changed = changed
        self._announce = announce

    async def tell_missed(self) -> None:
        """Say what was due while nobody was here."""
        for place, timers in _by_place(await self._thread(self._timers.missed)):
            self._announce(missed(timers), place)

    async def ring(self) -> None:
        """Announce timers when they are due."""
        while True:
            self._changed.clear()
            due = await self._thread(self._timers.next_due)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOCK_CHECK_S if due is None else min(due, CLOCK_CHECK_S)):
                    await self._changed.wait()
                continue
            for place, timers in _by_place(await self._thread(self._timers.due)):
                self._announce(rung(timers), place)
            try:
                await self._thread(self._timers.follow_clock)
            except StoreError as error:
                log.warning("The timers could not follow the clock: %s", error)


def _by_place(timers: Iterable[Timer]) -> list[tuple[str, list[Timer]]]:
    """The timers of each place, in order."""
    ordered = sorted(timers, key=lambda timer: timer.place)
    return [(place, list(group)) for place, group in groupby(ordered, key=lambda timer: timer.place)]
