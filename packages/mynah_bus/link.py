"""What carries packets: a broker, or the one in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from mynah_bus.packet import Packet
from mynah_contracts import Role

SUCCESS: Final = 0
NO_SUBSCRIBER: Final = 0x10
REFUSED: Final = 0x80
"""From here on, a reason code is a refusal."""


@dataclass(frozen=True, slots=True)
class Filter:
    """A subscription to ask for."""

    topic: str
    qos: int
    live_only: bool = False
    """Whether retained messages are not wanted; one that arrives as it is sent says that it is to be retained."""


async def _nobody() -> None:
    """Nobody is waited for."""


@dataclass(slots=True)
class Hooks:
    """What a link tells of the connection, and asks."""

    on_connect: Callable[[], Awaitable[None]]
    """After each connection, before what waits is sent: it subscribes and says hello."""
    on_lost: Callable[[], None]
    will: Callable[[], Packet] | None = field(default=None)
    """Asked, before each connection, for what the broker says when we cannot."""
    audience: Callable[[], Awaitable[None]] = field(default=_nobody)
    """Awaited after `on_connect`, before what is for everybody is sent."""


class Link(Protocol):
    """A connection that is there again after it was lost."""

    on_packet: Callable[[Packet], None]
    """Called with each message; returns at once."""
    connections: int
    dropped: int

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""

    async def run(self, hooks: Hooks) -> None:
        """Live as long as the link; cancelled, it says goodbye. What nobody here can mend is raised."""

    async def drained(self, within: float) -> None:
        """Return when every QoS 1 packet is acknowledged, at the latest after that many seconds."""

    def publish(self, packet: Packet, *, direct: bool = False) -> None:
        """Send; at QoS 1 again after a loss, while away kept in a bounded outbox.

        What is `direct` is for one who asks again; the rest waits until everybody is back.
        """

    def attempt(self, packet: Packet, answered: Callable[[int], None] | None = None) -> bool:
        """Send now or not at all, for what its sender would send again; `answered` is told the broker's reason code.

        0x10 says that nobody listens. Works in `on_connect` already; False when there is no connection.
        """

    async def subscribe(self, filters: Sequence[Filter]) -> None:
        """Subscribe and wait for the broker's word; PermissionError names what it refuses."""

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions; without a connection there are none."""


LinkFactory = Callable[[Role, str], Link]
