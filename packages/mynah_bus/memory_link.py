"""A broker in this process, for tests and for trying things out: retained values, shared subscriptions, wills."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from mynah_bus.mqtt import NO_SUBSCRIBER, SUCCESS
from mynah_bus.wire import Packet
from mynah_contracts import Role


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a topic filter without `$share` matches a topic (MQTT 5.0, section 4.7)."""
    wanted, given = topic_filter.split("/"), topic.split("/")
    if given[0].startswith("$") and wanted[0] in {"+", "#"}:
        return False
    for index, level in enumerate(wanted):
        if level == "#":
            return True
        if index >= len(given) or level not in {"+", given[index]}:
            return False
    return len(wanted) == len(given)


@dataclass(slots=True, eq=False)
class _Subscription:
    link: "MemoryLink"
    topic_filter: str
    group: str | None


@dataclass(slots=True)
class InMemoryBroker:
    """Delivers packets between the links of one event loop, in order, in the next turn of the loop."""

    published: list[Packet] = field(default_factory=list)
    """Every packet that was published, for tests to look at."""
    _subscriptions: list[_Subscription] = field(default_factory=list)
    _retained: dict[str, Packet] = field(default_factory=dict)
    _turns: dict[str, "itertools.count[int]"] = field(default_factory=dict)
    _watchers: list[Callable[[Packet], None]] = field(default_factory=list)

    def link(self, role: Role, instance: str, will: Callable[[], Packet] | None = None) -> "MemoryLink":
        """A new connection; fits `Bus(link=…)`."""
        return MemoryLink(self, f"{role.value}/{instance}", will)

    def watch(self, watcher: Callable[[Packet], None]) -> None:
        """Have every published packet shown to a function."""
        self._watchers.append(watcher)

    def publish(self, packet: Packet) -> int:
        """Take a packet; the reason code says whether anyone listens."""
        self.published.append(packet)
        if packet.retain:
            if packet.payload:
                self._retained[packet.topic] = packet
            else:
                self._retained.pop(packet.topic, None)
        for watcher in self._watchers:
            watcher(packet)
        delivered = replace(packet, retain=False)
        links: dict[int, MemoryLink] = {}
        groups: dict[str, list[_Subscription]] = {}
        for subscription in self._subscriptions:
            if matches(subscription.topic_filter, packet.topic):
                if subscription.group is None:
                    links[id(subscription.link)] = subscription.link
                else:
                    groups.setdefault(f"{subscription.group}/{subscription.topic_filter}", []).append(subscription)
        for name, members in groups.items():
            turn = next(self._turns.setdefault(name, itertools.count()))
            chosen = members[turn % len(members)].link
            links[id(chosen)] = chosen
        for link in links.values():
            link.deliver(delivered)
        return SUCCESS if links else NO_SUBSCRIBER

    def subscribe(self, link: "MemoryLink", topic_filter: str) -> None:
        """Subscribe a link; what is retained comes at once, but not to shared subscriptions."""
        group = None
        if topic_filter.startswith("$share/"):
            _, group, topic_filter = topic_filter.split("/", 2)
        self._subscriptions.append(_Subscription(link, topic_filter, group))
        if group is None:
            for topic, packet in self._retained.items():
                if matches(topic_filter, topic):
                    link.deliver(packet)

    def leave(self, link: "MemoryLink") -> None:
        """Forget a link's subscriptions."""
        self._subscriptions = [each for each in self._subscriptions if each.link is not link]


OUTBOX: Final = 1_000


class MemoryLink:
    """A connection to the in-memory broker."""

    def __init__(self, broker: InMemoryBroker, name: str, will: Callable[[], Packet] | None) -> None:
        self._broker = broker
        self._will = will
        self.name = name
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self.connections = 0
        self.dropped = 0
        self._ready = False
        self._lost = asyncio.Event()
        self._closed = False
        self._last_will: Packet | None = None
        self._outbox: list[Packet] = []

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""
        return self._ready

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_lost: Callable[[], None]) -> None:
        """Connect, and again after each `cut`."""
        while not self._closed:
            self._lost.clear()
            self._last_will = self._will() if self._will else None
            self.connections += 1
            await on_connect()
            self._ready = True
            for packet in self._outbox:
                self._broker.publish(packet)
            self._outbox.clear()
            await self._lost.wait()
            self._ready = False
            on_lost()

    def cut(self, *, silently: bool = False) -> None:
        """Lose the connection; the broker publishes the last will, unless silently."""
        self._broker.leave(self)
        self._ready = False
        if self._last_will is not None and not silently:
            self._broker.publish(self._last_will)
        self._lost.set()

    async def close(self) -> None:
        """Hang up; no last will."""
        self._closed = True
        self._ready = False
        self._broker.leave(self)
        self._lost.set()

    async def drained(self, within: float) -> None:
        """Nothing waits."""

    def publish(self, packet: Packet) -> None:
        """Send, or keep QoS 1 for the next connection."""
        if self._ready:
            self._broker.publish(packet)
        elif packet.qos and len(self._outbox) < OUTBOX:
            self._outbox.append(packet)
        else:
            self.dropped += 1

    def publish_now(self, packet: Packet) -> None:
        """Send while connecting."""
        self._broker.publish(packet)

    def publish_acknowledged(self, packet: Packet) -> asyncio.Future[int]:
        """Send; the result is there at once."""
        word: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        word.set_result(self._broker.publish(packet))
        return word

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe."""
        for topic_filter, _ in filters:
            self._broker.subscribe(self, topic_filter)

    def deliver(self, packet: Packet) -> None:
        """Hand a packet over in the next turn of the loop."""
        asyncio.get_running_loop().call_soon(self._hand_over, packet)

    def _hand_over(self, packet: Packet) -> None:
        if not self._closed:
            self.on_packet(packet)
