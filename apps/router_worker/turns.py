"""The turns that run and those that are over, by their identifier: no turn is answered twice."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from router_worker.live import Live

REMEMBERED: Final = 1_000
"""Turns that are over and still known."""


class Turns:
    """Every turn that somebody may still send messages about."""

    def __init__(self) -> None:
        self._running: dict[str, Live] = {}
        self._over: OrderedDict[str, None] = OrderedDict()

    def __iter__(self) -> Iterator[Live]:
        """Those that run; may change meanwhile."""
        return iter(tuple(self._running.values()))

    def find(self, identifier: str | None) -> Live | None:
        """The turn of that name, while it runs."""
        return self._running.get(identifier or "")

    def knows(self, identifier: str | None) -> bool:
        """Whether there is or was a turn of that name."""
        return identifier in self._running or self.is_over(identifier)

    def is_over(self, identifier: str | None) -> bool:
        """Whether the turn of that name has ended."""
        return identifier in self._over

    def at(self, satellite: str) -> list[Live]:
        """Those that run at a satellite, the oldest first."""
        return [live for live in self._running.values() if live.satellite == satellite]

    def add(self, live: Live) -> None:
        """A turn begins."""
        self._running[live.id] = live

    def close(self, identifier: str) -> None:
        """A turn is over, or never was to begin."""
        self._running.pop(identifier, None)
        self._over[identifier] = None
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)
