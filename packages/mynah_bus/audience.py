"""Who listened before the broker died: what is for everybody waits until they are back."""

import asyncio
from typing import Final

from mynah_bus.fleet import READY, Fleet
from mynah_contracts import Health, Role

BACK_WITHIN: Final = 5.0
"""Seconds after which nobody is waited for any more: the longest pause between two attempts to connect."""


class Audience:
    """The workers that were up when the connection was lost.

    A broker that lives says that we were gone, by our last will, and nobody else was cut off. One that died does not,
    and everybody has to connect again: with a health message that is newer than the last one.
    """

    def __init__(self, fleet: Fleet, role: Role, instance: str, within: float = BACK_WITHIN) -> None:
        self._fleet = fleet
        self._role = role
        self._instance = instance
        self._within = within
        self._missed: dict[tuple[Role, str], tuple[float, int]] = {}
        self._all_back = asyncio.Event()

    def lost(self) -> None:
        """Take note of who is there."""
        if not self._missed:
            self._missed = {
                (health.service, health.instance): (health.started_at, health.seq)
                for health in self._fleet.workers()
                if health.status in READY and (health.service, health.instance) != (self._role, self._instance)
            }

    def found(self) -> None:
        """Connected again, and told what the broker has kept: does anybody have to come back?"""
        will = self._fleet.find(self._role, self._instance)
        if will is not None and will.status == "down":
            self._missed.clear()

    async def back(self) -> None:
        """Wait for them, not for ever."""
        self._all_back.clear()
        self._fleet.on_change.add(self._heard)
        try:
            for health in self._fleet.workers():
                self._heard(health)
            if self._missed:
                async with asyncio.timeout(self._within):
                    await self._all_back.wait()
        except TimeoutError:
            self._missed.clear()
        finally:
            self._fleet.on_change.discard(self._heard)

    def _heard(self, health: Health) -> None:
        key = (health.service, health.instance)
        if key in self._missed and (health.started_at, health.seq) > self._missed[key]:
            del self._missed[key]
        if not self._missed:
            self._all_back.set()
