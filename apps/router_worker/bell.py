"""Rings timers when they are due, and tells of those that nobody heard."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable
from itertools import groupby
from typing import Final

from mynah_bus import ModelThread
from router_worker.answers import missed, rung
from router_worker.store import StoreError
from router_worker.tasks import Tasks
from router_worker.timers import Timer, Timers

log = logging.getLogger(__name__)

CLOCK_CHECK_S: Final = 60.0


Announce = Callable[[str, str], Awaitable[bool]]
"""Says a text at a place; whether it need not be said again."""


class Bell:
    """Watches the timers; `announce` says a text at the place where its timer was set, in one of `tasks`."""

    def __init__(
        self, timers: Timers, thread: ModelThread, changed: asyncio.Event, announce: Announce, tasks: Tasks
    ) -> None:
        self._timers = timers
        self._thread = thread
        self._changed = changed
        self._announce = announce
        self._tasks = tasks
        self._came = asyncio.Event()
        self._comings = 0

    def somebody_came(self) -> None:
        """There is somebody to speak to who was not there before."""
        self._comings += 1
        self._came.set()

    async def tell_missed(self) -> None:
        """Say what was due and not heard, whenever somebody has come."""
        while True:
            await self._came.wait()
            self._came.clear()
            for place, timers in _by_place(await self._thread(self._timers.missed)):
                self._tasks.start(self._tell(missed(timers), place, timers), "missed timers")

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
                self._tasks.start(self._tell(rung(timers), place, timers), "timers")
            try:
                await self._thread(self._timers.follow_clock)
            except StoreError as error:
                log.warning("The timers could not follow the clock: %s", error)

    async def _tell(self, text: str, place: str, timers: list[Timer]) -> None:
        """Forget timers once they are told: who is killed in between tells them again."""
        comings = self._comings
        is_told = await self._announce(text, place)
        await self._thread(self._timers.told if is_told else self._timers.untold, *(timer.id for timer in timers))
        if not is_told and comings != self._comings:
            self._came.set()


def _by_place(timers: Iterable[Timer]) -> list[tuple[str, list[Timer]]]:
    """The timers of each place, in order."""
    ordered = sorted(timers, key=lambda timer: timer.place)
    return [(place, list(group)) for place, group in groupby(ordered, key=lambda timer: timer.place)]
