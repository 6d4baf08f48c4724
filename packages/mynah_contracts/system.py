"""Health, failures, and what every worker may say."""

from typing import Literal

from pydantic import Field

from mynah_contracts.message import Event, Name, State, Stream
from mynah_contracts.roles import WORKERS, Role


class Health(State, topic="system/health/{service}/{instance}", by=WORKERS, to=tuple(Role), overheard_by=()):
    """Whether a worker can be relied on, and how busy it is; its last will says `down`."""

    service: Role
    instance: Name
    status: Literal["starting", "up", "degraded", "down"]
    """`degraded`: answers, but says in `reason` what is missing."""
    reason: str = ""
    pid: int = 0
    host: str = ""
    version: str = ""
    engine: str = ""
    model: str = ""
    started_at: float = 0.0
    """Seconds since the epoch; together with `seq` it tells the newer of two values."""
    seq: int = 0
    handles: dict[str, int] = Field(default_factory=dict)
    """What commands it takes, and how many of each at once."""
    queued: int = 0
    in_flight: int = 0
    stall_max_ms: float = 0.0
    """Longest time that the event loop did not turn, since the start."""
    stall_p99_ms: float = 0.0
    """How long 99 % of what came in waited for the event loop at most, since the start."""
    breakers: dict[str, str] = Field(default_factory=dict)
    counters: dict[str, int] = Field(default_factory=dict)


class Failed(Event, topic="system/error", by=WORKERS, to=Role.SKILL):
    """Something went wrong: the answer to a request, or a report of its own."""

    code: str
    """Stable, for machines: bad_message, queue_full, no_worker, timeout, engine, refused, bug, …"""
    message: str
    """For people."""
    retryable: bool = False
    """Whether another worker, or a later time, may do better."""
    about: str = ""
    """The type or topic that it is about."""


class Accepted(Stream, name="system.accepted", by=WORKERS, to=tuple(Role)):
    """A worker has the request and is working on it; travels on reply topics only."""
