"""Who is up and how busy, as the health messages say."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from mynah_contracts import Health, Role

STALE_AFTER: Final = 30.0
"""Seconds for which a worker is believed after a word of it, unless the message itself says how long."""
RESTARTING: Final = 5.0
"""Seconds during which a worker that went away is expected back."""
MENTIONED: Final = 3_600
"""Seconds for which a worker that is gone is told of."""
SILENT: Final = "It has not been heard of for a while."
READY: Final = frozenset({"up", "degraded"})


@dataclass(slots=True)
class Member:
    """A worker as this process sees it."""

    health: Health
    until: float
    """When it is no longer believed."""
    outstanding: int = 0
    """Requests of ours that it has not answered."""
    on_down: set[Callable[[], None]] = field(default_factory=set)

    @property
    def source(self) -> str:
        """How it signs: role/instance."""
        return f"{self.health.service.value}/{self.health.instance}"

    @property
    def load(self) -> tuple[int, int]:
        """Ours first, then what it says itself."""
        return self.outstanding, self.health.in_flight + self.health.queued


class Fleet:
    """The workers of every role; the newer of two health messages wins, by (start time, sequence)."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._members: dict[tuple[Role, str], Member] = {}
        self._able: dict[tuple[Role, str], list[Member]] = {}
        self.on_change: set[Callable[[Health], None]] = set()

    def observe(self, health: Health, expires: int | None = None) -> None:
        """Take note of a health message that expires in so many seconds; older ones than the last are ignored."""
        now = self._clock()
        if health.status != "down":
            until = now + (STALE_AFTER if expires is None else expires)
        else:
            until = now - (0 if expires is None else max(0, MENTIONED - expires))
        key = (health.service, health.instance)
        member = self._members.get(key)
        if member is None:
            self._prune()
            member = self._members[key] = Member(health, until)
        elif (health.started_at, health.seq) < (member.health.started_at, member.health.seq):
            return
        else:
            member.health, member.until = health, until
        self._able.clear()
        if health.status == "down":
            self._leave(member)
        for changed in tuple(self.on_change):
            changed(health)

    def doubt(self, members: Iterable[Member] | None = None) -> None:
        """Expect a new word of these, by default of all: the broker knows nothing of them, or lost what it knew."""
        now = self._clock()
        for member in self._members.values() if members is None else members:
            member.until = min(member.until, now)

    def silent(self, member: Member) -> None:
        """Nobody listens where a worker should: it is away, until it says otherwise."""
        self.doubt((member,))
        self._leave(member)

    def ready(self, role: Role, handles: str) -> list[Member]:
        """Who is up and takes this command, the least loaded first."""
        able = self._able.get((role, handles))
        if able is None:
            able = self._able[role, handles] = [
                member
                for (service, _), member in self._members.items()
                if service is role and member.health.status in READY and handles in member.health.handles
            ]
        now = self._clock()
        if len(able) == 1:
            return able if able[0].until > now else []
        return sorted((member for member in able if member.until > now), key=lambda member: member.load)

    def is_up(self, role: Role) -> bool:
        """Whether a worker of that role is up."""
        now = self._clock()
        return any(
            service is role and member.health.status in READY and member.until > now
            for (service, _), member in self._members.items()
        )

    def back_within(self, role: Role) -> float:
        """Seconds for which a worker of that role may still come up: it starts, or went away just now. 0: none will."""
        now = self._clock()
        left = [
            member.until - now + (0 if member.health.status == "starting" and member.until > now else RESTARTING)
            for (service, _), member in self._members.items()
            if service is role and (member.health.status == "starting" or member.until <= now)
        ]
        return max(0.0, *left) if left else 0.0

    def find(self, role: Role, instance: str) -> Health | None:
        """The last word of a worker."""
        member = self._members.get((role, instance))
        return member.health if member else None

    def workers(self) -> list[Health]:
        """The last word of every worker, by role and instance; who has been silent for too long counts as down."""
        now = self._clock()
        return [self._last_word(self._members[key], now) for key in sorted(self._members)]

    @staticmethod
    def _last_word(member: Member, now: float) -> Health:
        if member.until > now or member.health.status == "down":
            return member.health
        return member.health.model_copy(update={"status": "down", "reason": SILENT})

    def _leave(self, member: Member) -> None:
        for moved in tuple(member.on_down):
            moved()

    def _prune(self) -> None:
        gone = self._clock() - MENTIONED
        for key in [key for key, member in self._members.items() if member.until < gone and not member.outstanding]:
            del self._members[key]
