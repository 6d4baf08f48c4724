"""The link to an MQTT 5 broker; the only module that knows the client library.

gmqtt is driven one client per connection: reconnecting, resending and the bounded outbox are ours, because its own
replay order and endless retries are not what the bus promises.
"""

import asyncio
import contextlib
import logging
import random
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import gmqtt
from gmqtt.mqtt.constants import MQTTCommands
from gmqtt.mqtt.handler import MQTTConnectError

from mynah_bus.errors import BusClosed
from mynah_bus.wire import Packet

log = logging.getLogger(__name__)

KEEPALIVE: Final = 5
OUTBOX: Final = 1_000
RECEIVE_MAXIMUM: Final = 1_000
SUCCESS: Final = 0
NO_SUBSCRIBER: Final = 0x10
FATAL: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
"""Connection refusals that trying again does not mend, such as a wrong password."""
REFUSAL_WITHIN: Final = 0.1
"""Seconds for the reason of a refusal to be read after the broker hung up."""
HIGH_WATER: Final = 1 << 20
"""Bytes not yet taken by the socket above which streams are dropped."""

PACKET_OVERHEAD: Final = 1_024
"""Bytes that a packet may have beside its payload, its topic and its user properties."""

# Its warnings, and its errors without a traceback, repeat what this module reports.
logging.getLogger("gmqtt").setLevel(logging.ERROR)
logging.getLogger("gmqtt.mqtt.handler").addFilter(lambda record: record.exc_info is not None)
logging.getLogger("gmqtt.mqtt.handler").addFilter(lambda record: "CONNACK" not in str(record.msg))  # so do these errors


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From `mqtt://user:password@host:1883` or `mqtts://…`; ValueError says what is wrong."""
        parts = urlsplit(url)
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise ValueError(f"{url!r} is no broker address; write mqtt://host:1883 or mqtts://host:8883")
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=parts.port or (8883 if tls else 1883),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class ConnectionRefused(ConnectionError):
    """The broker does not let us in."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _Client(gmqtt.Client):  # type: ignore[misc]  # gmqtt has no types
    """A client that is not connected a second time."""

    async def reconnect(self, delay: bool = False) -> None:  # noqa: FBT001, FBT002  # its caller's
        """Stay away: six seconds later gmqtt would take the connection that the link has made since."""


@dataclass(slots=True)
class _Unacknowledged:
    packet: Packet
    ack: asyncio.Future[int] | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def stale(self) -> bool:
        """Whether it waited longer than it is worth anything."""
        expires = self.packet.expires
        return expires is not None and time.monotonic() - self.since > expires


class MqttLink:
    """A connection that is there again after it was lost.

    `run` lives as long as the link; `on_connect` subscribes and says hello each time, before anything waiting is sent.
    """

    def __init__(
        self,
        address: Address,
        *,
        client_id: str,
        will: Callable[[], Packet] | None = None,
        tls: ssl.SSLContext | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._will = will
        self._tls = tls if tls is not None or not address.tls else ssl.create_default_context()
        self._pause = pause
        self._client: gmqtt.Client | None = None
        self._in_flight: dict[int, _Unacknowledged] = {}
        self._outbox: deque[_Unacknowledged] = deque()
        self._subscribing: dict[int, asyncio.Future[tuple[int, ...]]] = {}
        self._last_mid = 0
        self._largest: int | None = None
        self._ready = False
        self._closed = False
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self.connections = 0
        self.dropped = 0

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""
        return self._ready

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_lost: Callable[[], None]) -> None:
        """Connect, and again after every loss, with capped jittered backoff; ConnectionRefused ends it."""
        attempt = 0
        while not self._closed:
            lost = asyncio.Event()
            try:
                await self._connect(lost)
                await self._live(on_connect, lost)
                attempt = 0
            except ConnectionRefused as refused:
                if refused.code in FATAL:
                    raise
                log.warning("The broker at %s:%s refuses: %s", self._address.host, self._address.port, refused)
            except (OSError, TimeoutError) as error:
                if attempt == 0:
                    log.warning("The broker at %s:%s is away: %s", self._address.host, self._address.port, error)
            was_ready, self._ready = self._ready, False
            await self._hang_up()
            if was_ready:
                on_lost()
            if not self._closed:
                attempt += 1
                await self._pause(min(5.0, 0.1 * 2 ** min(attempt, 6)) * random.uniform(0.5, 1.0))  # noqa: S311

    async def _live(self, on_connect: Callable[[], Awaitable[None]], lost: asyncio.Event) -> None:
        """Greet, send what waited, and last until the connection is lost."""
        greeting = asyncio.ensure_future(on_connect())
        losing = asyncio.ensure_future(lost.wait())
        try:
            await asyncio.wait({greeting, losing}, return_when=asyncio.FIRST_COMPLETED)
            if greeting.done():
                greeting.result()
                self._ready = True
                self._flush()
                await losing
        finally:
            for task in (greeting, losing):
                task.cancel()
            await asyncio.gather(greeting, losing, return_exceptions=True)

    async def close(self) -> None:
        """Send what waits, say goodbye and stop; what still waited for an acknowledgement fails."""
        self._closed = True
        self._ready = False
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await client.disconnect()
        for waiting in (*self._in_flight.values(), *self._outbox):
            if waiting.ack is not None and not waiting.ack.done():
                waiting.ack.set_exception(BusClosed("The link was closed."))
        self._in_flight.clear()
        self._outbox.clear()

    async def drained(self, within: float) -> None:
        """Return when every QoS 1 packet is acknowledged, at the latest after that many seconds."""
        acks = [self._acknowledgement(waiting) for waiting in (*self._in_flight.values(), *self._outbox)]
        if acks:
            await asyncio.wait(acks, timeout=within)

    def publish(self, packet: Packet) -> None:
        """Send, or keep for the next connection: QoS 0 is dropped while away, of QoS 1 the oldest above the bound."""
        if self._ready:
            self._send(_Unacknowledged(packet))
        elif packet.qos:
            self._keep(_Unacknowledged(packet))
        else:
            self.dropped += 1

    def publish_now(self, packet: Packet) -> None:
        """Send in `on_connect`, ahead of what waits."""
        self._send(_Unacknowledged(packet))

    def publish_acknowledged(self, packet: Packet) -> asyncio.Future[int]:
        """Send at QoS 1; the result is the broker's reason code: 0x10 when nobody listens."""
        waiting = _Unacknowledged(packet, asyncio.get_running_loop().create_future())
        if self._ready:
            self._send(waiting)
        else:
            self._keep(waiting)
        return self._acknowledgement(waiting)

    async def subscribe(self, filters: Sequence[tuple[str, int]]) -> None:
        """Subscribe and wait for the broker's word; PermissionError names what it refuses."""
        if self._client is None:
            raise ConnectionResetError("not connected")
        subscriptions = [gmqtt.Subscription(topic, qos=qos) for topic, qos in filters]
        mid = self._client.subscribe(subscriptions)
        granted = self._subscribing[mid] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(10):
                codes = await granted
        finally:
            self._subscribing.pop(mid, None)
        refused = [topic for (topic, _), code in zip(filters, codes, strict=False) if code >= 0x80]  # noqa: PLR2004
        if refused:
            raise PermissionError(f"The broker refuses {', '.join(refused)}")

    # gmqtt's storage interface: it tells us which QoS 1 packets wait for their acknowledgement.

    def push_message(self, mid: int, _packet: bytes) -> None:
        """A QoS 1 packet was written."""
        self._last_mid = mid

    def remove_message_by_mid(self, mid: int) -> None:
        """A QoS 1 packet was acknowledged; `_acknowledged` has seen to it."""

    @property
    def is_empty(self) -> bool:
        """Nothing is left to gmqtt's own replay."""
        return True

    async def wait_empty(self) -> None:
        """Nothing to wait for."""

    def clear(self) -> None:
        """Nothing to clear."""

    def get_all(self) -> list[tuple[int, bytes]]:
        """Nothing to replay."""
        return []

    async def _connect(self, lost: asyncio.Event) -> None:
        will = self._will() if self._will else None
        client = _Client(
            self._client_id,
            clean_session=True,
            will_message=_gmqtt_message(will) if will else None,
            persistent_storage=self,
            receive_maximum=RECEIVE_MAXIMUM,
        )
        # gmqtt drops a PUBACK's reason code, which says that nobody listens or that we may not.
        client._package_handler._handler_cache[MQTTCommands.PUBACK] = self._acknowledged  # noqa: SLF001
        client.on_message = self._arrived
        client.on_subscribe = self._subscribed
        client.on_disconnect = lambda *_: lost.set()
        if self._address.username:
            client.set_auth_credentials(self._address.username, self._address.password)
        self._client = client
        try:
            async with asyncio.timeout(10):
                await _unless_lost(
                    client.connect(self._address.host, self._address.port, ssl=self._tls or False, keepalive=KEEPALIVE),
                    lost,
                )
        except MQTTConnectError as error:
            raise ConnectionRefused(error._code, str(error.message)) from error  # noqa: SLF001
        self._largest = _first(client._package_handler._connack_properties, "maximum_packet_size")  # noqa: SLF001
        self.connections += 1

    async def _hang_up(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError, TimeoutError, AttributeError):
                async with asyncio.timeout(1):
                    await client.disconnect()
        for granted in self._subscribing.values():
            if not granted.done():
                granted.set_exception(ConnectionResetError("the connection was lost"))
        self._subscribing.clear()
        self._outbox.extendleft(reversed(self._in_flight.values()))
        self._in_flight.clear()

    def _keep(self, waiting: _Unacknowledged) -> None:
        if len(self._outbox) >= OUTBOX:
            self._give_up(self._outbox.popleft(), "Too much waits for the broker; the oldest was dropped.")
        self._outbox.append(waiting)

    def _flush(self) -> None:
        while self._outbox and self._ready:
            waiting = self._outbox.popleft()
            if waiting.stale:
                self._give_up(waiting, "It waited for the broker longer than it is worth anything.")
            elif not self._send(waiting):
                break

    def _give_up(self, waiting: _Unacknowledged, why: str) -> None:
        self.dropped += 1
        if waiting.ack is not None and not waiting.ack.done():
            waiting.ack.set_exception(BusClosed(why))

    def _send(self, waiting: _Unacknowledged) -> bool:
        """Write a packet; False when the broker's window is full and it has to wait."""
        client = self._client
        if client is None:
            if waiting.packet.qos:
                self._keep(waiting)
            return False
        packet = waiting.packet
        if not packet.qos and self._backlog(client) > HIGH_WATER:
            self.dropped += 1
            return True
        if self._largest is not None and _size(packet) > self._largest:
            # The broker would hang up, now and after each reconnect.
            log.warning("A message on %s is larger than the broker takes; it was not sent.", packet.topic)
            self._give_up(waiting, f"It is larger than the {self._largest} bytes that the broker takes.")
            return True
        try:
            client.publish(_gmqtt_message(packet))
        except OverflowError:
            self._outbox.appendleft(waiting)
            return False
        if packet.qos:
            self._in_flight[self._last_mid] = waiting
        return True

    @staticmethod
    def _backlog(client: gmqtt.Client) -> int:
        return int(client._connection._transport.get_write_buffer_size())  # noqa: SLF001  # gmqtt has no word for it

    def _acknowledged(self, _command: int, packet: bytes) -> None:
        mid = int.from_bytes(packet[:2], "big")
        code = packet[2] if len(packet) > 2 else SUCCESS  # noqa: PLR2004
        client = self._client
        if client is not None:
            client._package_handler.id_generator.free_id(mid)  # noqa: SLF001
        waiting = self._in_flight.pop(mid, None)
        if waiting is not None and waiting.ack is not None and not waiting.ack.done():
            waiting.ack.set_result(code)
        elif waiting is not None and code >= 0x80:  # noqa: PLR2004
            log.warning("The broker refuses a message on %s (reason 0x%02x)", waiting.packet.topic, code)
        if self._outbox and self._ready:
            self._flush()

    @staticmethod
    def _acknowledgement(waiting: _Unacknowledged) -> asyncio.Future[int]:
        if waiting.ack is None:
            waiting.ack = asyncio.get_running_loop().create_future()
        return waiting.ack

    def _subscribed(self, _client: Any, mid: int, codes: tuple[int, ...], _properties: Any) -> None:
        granted = self._subscribing.get(mid)
        if granted is not None and not granted.done():
            granted.set_result(codes)

    def _arrived(self, _client: Any, topic: str, payload: bytes, qos: int, properties: dict[str, Any]) -> None:
        self.on_packet(
            Packet(
                topic=topic,
                payload=payload,
                qos=qos,
                retain=bool(properties["retain"]),
                expires=_first(properties, "message_expiry_interval"),
                response_topic=_first(properties, "response_topic"),
                correlation=_first(properties, "correlation_data"),
                properties=tuple(properties.get("user_property", ())),
                content_type=_first(properties, "content_type"),
            )
        )


async def _unless_lost(connecting: Coroutine[Any, Any, None], lost: asyncio.Event) -> None:
    """Connect; ConnectionResetError when the broker hangs up meanwhile, for which gmqtt would wait in vain."""
    task, losing = asyncio.ensure_future(connecting), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait({task, losing}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            await asyncio.wait({task}, timeout=REFUSAL_WITHIN)
        if not task.done():
            raise ConnectionResetError("it hung up")
        await task
    finally:
        for each in (task, losing):
            each.cancel()
        await asyncio.gather(task, losing, return_exceptions=True)


def _size(packet: Packet) -> int:
    """Bytes of a packet on the wire, at most."""
    beside = sum(len(name) + 4 * len(value) for name, value in packet.properties)
    return len(packet.payload) + 4 * len(packet.topic) + beside + PACKET_OVERHEAD


def _first(properties: dict[str, Any], name: str) -> Any:
    values = properties.get(name)
    return values[0] if values else None


def _gmqtt_message(packet: Packet) -> gmqtt.Message:
    properties: dict[str, Any] = {}
    if packet.expires is not None:
        properties["message_expiry_interval"] = packet.expires
    if packet.response_topic is not None:
        properties["response_topic"] = packet.response_topic
    if packet.correlation is not None:
        properties["correlation_data"] = packet.correlation
    if packet.properties:
        properties["user_property"] = packet.properties
    if packet.content_type is not None:
        properties["content_type"] = packet.content_type
    return gmqtt.Message(packet.topic, packet.payload, qos=packet.qos, retain=packet.retain, **properties)
