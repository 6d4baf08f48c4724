"""Who is up and how busy, as the retained health says."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mynah_contracts import Health, Role

STALE_AFTER = 30.0
"""Seconds without a word after which a worker that said `up` is no longer believed."""
RESTARTING = 5.0
"""Seconds during which a worker that went down is expected back."""


@dataclass(slots=True)
class Member:
    """A worker as this process sees it."""

    health: Health
    heard_at: float
    outstanding: int = 0
    """Requests of ours that it has not answered."""
    on_down: set[Callable[[], None]] = field(default_factory=set)

    @property
    def load(self) -> tuple[int, int]:
        """Ours first, then what it says itself."""
        return self.outstanding, self.health.in_flight + self.health.queued


class Fleet:
    """The workers of every role; the newer of two health messages wins, by (start time, sequence)."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._members: dict[tuple[Role, str], Member] = {}
        self.on_change: set[Callable[[Health], None]] = set()

    def observe(self, health: Health) -> None:
        """Take note of a health message; older ones than the last are ignored."""
        key = (health.service, health.instance)
        member = self._members.get(key)
        if member is None:
            member = self._members[key] = Member(health, self._clock())
        elif (health.started_at, health.seq) < (member.health.started_at, member.health.seq):
            return
        else:
            member.health, member.heard_at = health, self._clock()
        if health.status == "down":
            for moved in tuple(member.on_down):
                moved()
        for changed in tuple(self.on_change):
            changed(health)

    def forget(self) -> None:
        """Drop what was retained: the broker tells it again after a reconnect."""
        for member in self._members.values():
            member.heard_at = self._clock()

    def ready(self, role: Role, handles: str) -> list[Member]:
        """Who is up and takes this command, the least loaded first."""
        now = self._clock()
        able = [
            member
            for (service, _), member in self._members.items()
            if service is role
            and member.health.status in {"up", "degraded"}
            and handles in member.health.handles
            and now - member.heard_at < STALE_AFTER
        ]
        return sorted(able, key=lambda member: member.load) if len(able) > 1 else able

    def is_up(self, role: Role) -> bool:
        """Whether a worker of that role is up."""
        return any(
            service is role and member.health.status in {"up", "degraded"}
            for (service, _), member in self._members.items()
        )

    def coming(self, role: Role) -> bool:
        """Whether a worker of that role is starting, or went down so lately that it may be back at once."""
        now = self._clock()
        return any(
            service is role and (member.health.status == "starting" or now - member.heard_at < RESTARTING)
            for (service, _), member in self._members.items()
        )

    def workers(self) -> list[Health]:
        """The last word of every worker, by role and instance."""
        return [self._members[key].health for key in sorted(self._members)]
