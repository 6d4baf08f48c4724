"""A broker in this process, for tests and for trying things out: retained values, shared subscriptions, wills."""

import asyncio
import itertools
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from mynah_bus.link import NO_SUBSCRIBER, SUCCESS, Filter, Hooks
from mynah_bus.packet import Packet
from mynah_contracts import Role

OUTBOX: Final = 1_000

T = TypeVar("T")


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
    keeps_retain: bool


@dataclass(slots=True)
class InMemoryBroker:
    """Delivers packets between the links of one event loop, in order, in the next turn of the loop."""

    published: list[Packet] = field(default_factory=list)
    """Every packet that was published, for tests to look at."""
    links: list["MemoryLink"] = field(default_factory=list)
    """Every connection that was made, for tests to cut."""
    _subscriptions: list[_Subscription] = field(default_factory=list)
    _retained: dict[str, Packet] = field(default_factory=dict)
    _turns: dict[str, "itertools.count[int]"] = field(default_factory=dict)
    _watchers: list[Callable[[Packet], None]] = field(default_factory=list)

    def link(self, role: Role, instance: str) -> "MemoryLink":
        """A new connection; fits `Bus(link=…)`."""
        link = MemoryLink(self, f"{role.value}/{instance}")
        self.links.append(link)
        return link

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
        chosen: dict[int, _Subscription] = {}
        groups: dict[str, list[_Subscription]] = {}
        for subscription in self._subscriptions:
            if matches(subscription.topic_filter, packet.topic):
                if subscription.group is None:
                    chosen[id(subscription.link)] = subscription
                else:
                    groups.setdefault(f"{subscription.group}/{subscription.topic_filter}", []).append(subscription)
        for name, members in groups.items():
            turn = next(self._turns.setdefault(name, itertools.count()))
            member = members[turn % len(members)]
            chosen[id(member.link)] = member
        for subscription in chosen.values():
            subscription.link.deliver(replace(packet, retain=packet.retain and subscription.keeps_retain))
        return SUCCESS if chosen else NO_SUBSCRIBER

    def subscribe(self, link: "MemoryLink", wanted: Filter) -> None:
        """Subscribe a link; what is retained comes at once, but not to shared subscriptions."""
        topic_filter, group = wanted.topic, None
        if topic_filter.startswith("$share/"):
            _, group, topic_filter = topic_filter.split("/", 2)
        self.unsubscribe(link, wanted.topic)
        self._subscriptions.append(_Subscription(link, topic_filter, group, wanted.live_only))
        if group is None and not wanted.live_only:
            for topic, packet in self._retained.items():
                if matches(topic_filter, topic):
                    link.deliver(replace(packet))

    def unsubscribe(self, link: "MemoryLink", topic: str) -> None:
        """End one of a link's subscriptions."""
        group = None
        if topic.startswith("$share/"):
            _, group, topic = topic.split("/", 2)
        self._subscriptions = [
            each
            for each in self._subscriptions
            if each.link is not link or each.topic_filter != topic or each.group != group
        ]

    def leave(self, link: "MemoryLink") -> None:
        """Forget a link's subscriptions."""
        self._subscriptions = [each for each in self._subscriptions if each.link is not link]


class MemoryLink:
    """A connection to the in-memory broker; `cut` loses it."""

    def __init__(self, broker: InMemoryBroker, name: str) -> None:
        self._broker = broker
        self.name = name
        self.connections = 0
        self.dropped = 0
        self.subscribed = 0
        """How often it was asked to subscribe."""
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self._ready = False
        self._open = True
        self._lost = asyncio.Event()
        self._back = asyncio.Event()
        self._back.set()
        self._last_will: Packet | None = None
        self._outbox: list[Packet] = []

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""
        return self._ready

    async def run(self, hooks: Hooks) -> None:
        """Connect, and again after each `cut`."""
        try:
            while True:
                await self._back.wait()
                self._lost.clear()
                self._last_will = hooks.will() if hooks.will else None
                self.connections += 1
                self._open = True
                await hooks.on_connect()
                self._ready = True
                waiting, self._outbox = self._outbox, []
                for packet in waiting:
                    self._broker.publish(packet)
                await self._lost.wait()
                hooks.on_lost()
        finally:
            self._hang_up()

    def cut(self, *, silently: bool = False, stays_away: bool = False) -> None:
        """Lose the connection; the broker publishes the last will, unless silently."""
        if stays_away:
            self._back.clear()
        self._hang_up()
        if self._last_will is not None and not silently:
            self._broker.publish(self._last_will)
        self._lost.set()

    def restore(self) -> None:
        """Let it connect again after `cut(stays_away=True)`."""
        self._back.set()

    async def drained(self, within: float) -> None:
        """Nothing waits."""

    def publish(self, packet: Packet, *, direct: bool = False) -> None:  # noqa: ARG002  # nobody else is cut off here
        """Send, or keep QoS 1 for the next connection."""
        if self._ready:
            self._broker.publish(packet)
        elif packet.qos and len(self._outbox) < OUTBOX:
            self._outbox.append(packet)
        else:
            self.dropped += 1

    def attempt(self, packet: Packet, answered: Callable[[int], None] | None = None) -> bool:
        """Send now or not at all; the broker's word comes in the next turn of the loop."""
        if not self._open:
            return False
        code = self._broker.publish(packet)
        if answered is not None and packet.qos:
            _in_the_next_turn(answered, code)
        return True

    async def subscribe(self, filters: Sequence[Filter]) -> None:
        """Subscribe."""
        self.subscribed += 1
        for each in filters:
            self._broker.subscribe(self, each)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions."""
        for topic in topics:
            self._broker.unsubscribe(self, topic)

    def deliver(self, packet: Packet) -> None:
        """Hand a packet over in the next turn of the loop."""
        _in_the_next_turn(self._hand_over, packet)

    def _hand_over(self, packet: Packet) -> None:
        if self._open:
            self.on_packet(packet)

    def _hang_up(self) -> None:
        self._open = self._ready = False
        self._broker.leave(self)


def _in_the_next_turn(call: Callable[[T], None], what: T) -> None:
    """Call from the loop, as a socket that is read does: what the sender has in its context stays with it."""
    asyncio.get_running_loop().call_soon(call, what, context=Context())
