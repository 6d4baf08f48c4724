"""One connection to an MQTT 5 broker; the only module that knows the client library.

gmqtt connects, subscribes and says goodbye. PUBLISH and PUBACK, the packets that are many, are read as they arrive. The
first that is written in a turn of the event loop leaves at once, while its sender goes on with what follows; the others
leave together at the end of the turn: a write of its own for each costs more than all else. A PUBACK waits a little for
something to leave with.
"""

import asyncio
import contextlib
import logging
import os
import ssl
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

import gmqtt
from gmqtt.mqtt.connection import MQTTConnection
from gmqtt.mqtt.constants import MQTTCommands
from gmqtt.mqtt.handler import MQTTConnectError
from gmqtt.mqtt.package import Package
from gmqtt.mqtt.protocol import BaseMQTTProtocol, MQTTProtocol

from mynah_bus.framing import Cutter
from mynah_bus.link import REFUSED, SUCCESS, Filter
from mynah_bus.packet import Packet, identifier, unpack
from mynah_bus.pulse import KEEPALIVE, Pulse

log = logging.getLogger(__name__)

CONNECTS_WITHIN: Final = 5.0
SUBSCRIBES_WITHIN: Final = 10.0
LEAVES_WITHIN: Final = 1.0
RECEIVE_MAXIMUM: Final = 1_000
WINDOW: Final = 10_000
FIRST_NUMBER: Final = 0x1000
LAST_NUMBER: Final = 0xFFFF
"""Packet identifiers of what is published; those below are gmqtt's."""
LARGEST_PACKET: Final = 16 << 20
ACKNOWLEDGES_WITHIN: Final = 0.010
"""Seconds; nobody waits for an acknowledgement but the broker, which sends RECEIVE_MAXIMUM messages without any."""
ACKNOWLEDGED_AT_ONCE: Final = 64
"""Acknowledgements that wait no longer."""
PUBLISH: Final = 0x30
PUBACK: Final = 0x40

logging.getLogger("gmqtt").setLevel(logging.CRITICAL)  # what it says, this module and its users report


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is."""

    host: str
    port: int
    tls: bool
    username: str | None
    password: str | None
    near: Path | None = None
    """A socket file of the same broker, tried first."""

    @classmethod
    def parse(cls, url: str) -> "Address":
        """From `mqtt://user:password@host:1883` or `mqtts://…`; ValueError says what is wrong."""
        wrong = ValueError("This is no broker's address; write mqtt://host:1883, or mqtts://host:8883 for TLS.")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise wrong from None  # the cause would tell a password
        if parts.scheme not in {"mqtt", "mqtts"} or not parts.hostname:
            raise wrong
        tls = parts.scheme == "mqtts"
        return cls(
            host=parts.hostname,
            port=port or (8883 if tls else 1883),
            tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )


class ConnectionRefused(ConnectionError):
    """The broker does not let us in."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"The broker does not let us in: {reason.removeprefix('Connection Refused: ')}.")
        self.code = code


class Connection:
    """A connection as a block: ConnectionRefused, OSError or TimeoutError say why it cannot be entered.

    `arrived` is called with each message, `acknowledged` with the number and the broker's reason code of each that was
    sent at QoS 1.
    """

    def __init__(
        self,
        address: Address,
        *,
        client_id: str,
        will: Packet | None,
        tls: ssl.SSLContext | None,
        arrived: Callable[[Packet], None],
        acknowledged: Callable[[int, int], None],
    ) -> None:
        self._address = address
        self._tls = tls
        self._arrived = arrived
        self._acknowledged = acknowledged
        self._subscribing: dict[int, asyncio.Future[Sequence[int]]] = {}
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection is gone."""
        self.window = 0
        """How many messages at QoS 1 may be under way at once."""
        self.largest = 0
        """Bytes of the largest packet that the broker takes."""
        self._client = _Client(client_id, self, _gmqtt_will(will) if will else None, address.near)
        self._client.on_subscribe = self._granted
        self._client.on_unsubscribe = self._granted
        self._client._package_handler._handler_cache[MQTTCommands.DISCONNECT] = self._dismissed  # noqa: SLF001
        if address.username:
            self._client.set_auth_credentials(address.username, address.password)
        self._protocol: _Protocol | None = None
        self.pulse = Pulse(ask=self._ask, cut=self._cut)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self._leave)
            try:
                async with asyncio.timeout(CONNECTS_WITHIN):
                    await self._client.connect(self._address.host, self._address.port, self._tls or False, KEEPALIVE)
            except MQTTConnectError as error:
                raise ConnectionRefused(error._code, str(error.message)) from error  # noqa: SLF001
            undo.pop_all()
        if self.lost.done():
            raise ConnectionResetError("it hung up while we connected")
        self._learn_limits()
        self.pulse.begin()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Say goodbye, with what was said before it; cut the line when that takes long."""
        await self._leave()

    @property
    def backlog(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._protocol.backlog if self._protocol else 0

    def send(self, data: bytes) -> None:
        """Send the bytes of a packet, at the latest with this turn of the loop."""
        if self._protocol is not None:
            self._protocol.write_data(data)

    async def subscribe(self, filters: Sequence[Filter]) -> None:
        """Subscribe; PermissionError names what the broker refuses."""
        subscriptions = [
            gmqtt.Subscription(
                each.topic,
                qos=each.qos,
                retain_as_published=each.live_only,
                retain_handling_options=2 if each.live_only else 0,
            )
            for each in filters
        ]
        codes = await self._word(self._client._connection.subscribe(subscriptions))  # noqa: SLF001
        refused = [each.topic for each, code in zip(filters, codes, strict=False) if code >= REFUSED]
        if refused:
            raise PermissionError(f"The broker refuses a subscription to {', '.join(refused)}.")

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions."""
        await self._word(self._client._connection.unsubscribe(list(topics)))  # noqa: SLF001

    def _learn_limits(self) -> None:
        """Take over what the broker said of itself, and leave gmqtt the numbers below ours."""
        handler = self._client._package_handler  # noqa: SLF001
        told = handler._connack_properties  # noqa: SLF001
        self.window = min(told.get("receive_maximum", [WINDOW])[0], WINDOW)
        self.largest = told.get("maximum_packet_size", [LARGEST_PACKET])[0]
        handler.id_generator._max = FIRST_NUMBER  # noqa: SLF001

    async def _word(self, number: int) -> Sequence[int]:
        """The broker's answer to a packet of ours; ConnectionResetError when it is gone before."""
        answer = self._subscribing[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SUBSCRIBES_WITHIN):
                await asyncio.wait({answer, self.lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._subscribing.pop(number, None)
        if not answer.done():
            raise ConnectionResetError("the connection was lost")
        codes: Sequence[int] = answer.result()
        return codes

    def _granted(self, _client: object, number: int, codes: Sequence[int], *_: object) -> None:
        answer = self._subscribing.get(number)
        if answer is not None and not answer.done():
            answer.set_result(codes)

    async def _leave(self) -> None:
        self.pulse.end()
        protocol, self._protocol = self._protocol, None
        if protocol is None or self.lost.done():
            return
        if self._client._connection is not None:  # noqa: SLF001
            self._client._connection.send_disconnect()  # noqa: SLF001
        protocol.flush()
        protocol.transport.close()
        try:
            await asyncio.wait({self.lost}, timeout=LEAVES_WITHIN)
        finally:
            protocol.transport.abort()

    # -- what the protocol reports

    def made(self, protocol: "_Protocol") -> None:
        """The socket is open."""
        self._protocol = protocol

    def gone(self) -> None:
        """The socket is closed."""
        if not self.lost.done():
            self.lost.set_result(None)
        self._client._connack_received.set()  # noqa: SLF001  # gmqtt's connect() would wait for it to its deadline

    def published(self, first: int, body: bytes) -> None:
        """A PUBLISH was read."""
        try:
            packet, number = unpack(first, body)
        except ValueError as error:
            log.warning("Ignored a malformed packet: %s", error)
            packet, number = None, identifier(first, body)
        if number and self._protocol is not None:
            self._protocol.acknowledge(number)
        if packet is not None:
            packet.waited = self.pulse.waited
            self._arrived(packet)

    def acknowledged(self, body: bytes) -> None:
        """A PUBACK was read."""
        number = int.from_bytes(body[:2], "big")
        self._acknowledged(number, body[2] if len(body) > 2 else SUCCESS)  # noqa: PLR2004  # the code may be left out

    def _dismissed(self, _command: int, body: bytes) -> None:
        log.warning("The broker ends the connection (reason 0x%02x)", body[0] if body else 0)
        self._cut()

    def _ask(self) -> None:
        self._client._connection._send_ping_request()  # noqa: SLF001

    def _cut(self) -> None:
        if self._protocol is not None:
            self._protocol.transport.abort()


class _Client(gmqtt.Client):  # type: ignore[misc]  # gmqtt has no types
    """gmqtt's client for one connection: it never connects again by itself."""

    def __init__(self, client_id: str, reports: Connection, will: gmqtt.Message | None, near: Path | None) -> None:
        super().__init__(
            client_id,
            clean_session=True,
            will_message=will,
            receive_maximum=RECEIVE_MAXIMUM,
            maximum_packet_size=LARGEST_PACKET,
        )
        self._reports = reports
        self._near = near

    async def _create_connection(
        self,
        host: str,
        port: int,
        ssl: ssl.SSLContext | bool,  # noqa: FBT001  # gmqtt calls it so
        clean_session: bool,  # noqa: FBT001
        keepalive: int,
    ) -> MQTTConnection:
        loop = asyncio.get_running_loop()
        handler = self._package_handler
        make = partial(
            _Protocol, self._reports, connection_state=self._connection_state, id_generator=handler.id_generator
        )
        protocol: _Protocol | None = None
        if self._near is not None:
            with contextlib.suppress(OSError):  # it is not there, or its broker has gone
                _, protocol = await loop.create_unix_connection(make, str(self._near))
        if protocol is None:
            _, protocol = await loop.create_connection(make, host, port, ssl=ssl or None)
        return _Quiet(protocol.transport, protocol, clean_session, keepalive, package_handler=handler)

    async def reconnect(self, delay: bool = False) -> None:  # noqa: FBT001, FBT002  # gmqtt calls it so
        """Leave that to whoever made the connection."""


class _Quiet(MQTTConnection):  # type: ignore[misc]
    """gmqtt's connection without its keepalive, which would wait for a line that is dead to close."""

    def _keep_connection(self) -> None:
        pass


class _Protocol(MQTTProtocol):  # type: ignore[misc]
    """Hands packets on as they are read; writes the first of a turn of the loop at once, the others at its end."""

    def __init__(self, reports: Connection, **gmqtts: Any) -> None:
        super().__init__(**gmqtts)
        self._reports = reports
        self._cutter = Cutter(self._read)
        self._out: list[bytes] = []
        self._waiting = 0
        self._socket: int | None = None
        """What may be written to past the transport, which keeps everything until the turn of the loop ends."""
        self._has_written = False
        """Whether something has left in this turn of the loop."""
        self._acks: list[bytes] = []
        self._acks_leave: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport

    @property
    def backlog(self) -> int:
        """Bytes that the network has not taken yet."""
        return self._waiting + self.transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin, without gmqtt's reading loop."""
        BaseMQTTProtocol.connection_made(self, transport)
        self.transport = transport
        if transport.get_extra_info("sslcontext") is None:
            self._socket = transport.get_extra_info("socket").fileno()
        self._reports.made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report it, where gmqtt would connect again."""
        BaseMQTTProtocol.connection_lost(self, exc)
        self._socket = None
        self._waiting = 0
        self._out.clear()
        self._acks.clear()
        if self._acks_leave is not None:
            self._acks_leave.cancel()
        self._reports.gone()

    def eof_received(self) -> None:
        """Close: nothing comes any more."""

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        self._reports.pulse.heard()
        self._cutter.feed(data)

    def _read(self, first: int, body: bytes) -> None:
        kind = first & 0xF0
        if kind == PUBLISH:
            self._reports.published(first, body)
        elif kind == PUBACK:
            self._reports.acknowledged(body)
        else:
            self._connection.put_package(Package(first, body))

    def acknowledge(self, number: int) -> None:
        """Say that a message was read: with what is written next, or soon."""
        self._acks.append(b"\x40\x02" + number.to_bytes(2, "big"))
        if len(self._acks) == ACKNOWLEDGED_AT_ONCE:
            self.flush()
        elif self._acks_leave is None:
            self._acks_leave = self._loop.call_later(ACKNOWLEDGES_WITHIN, self._acknowledge)

    def _acknowledge(self) -> None:
        self._acks_leave = None
        self.flush()

    def write_data(self, data: bytes) -> None:
        """Write: at once, or with this turn of the loop, after what is ready to run in it."""
        if not self._has_written:
            self._has_written = True
            self._loop.call_soon(self._after_this)
            if self._write_now(data):
                return
        self._out.append(data)
        self._waiting += len(data)

    def _write_now(self, data: bytes) -> bool:
        """Write, unless something goes before it; what the network does not take now, it takes next."""
        transport = self.transport
        if self._socket is None or transport.is_closing() or transport.get_write_buffer_size():
            return False
        self._reports.pulse.said()
        out = b"".join((*self._acks, data))
        self._acks.clear()
        try:
            written = os.write(self._socket, out)
        except OSError:  # it takes nothing, or the connection is lost, of which the transport tells
            written = 0
        if written < len(out):
            transport.write(out[written:])  # before anything else
        return True

    def _after_this(self) -> None:
        self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._has_written = False
        if self._out:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        out = self._acks + self._out
        if out and not self.transport.is_closing():
            self._reports.pulse.said()
            self.transport.writelines(out)
        self._acks, self._out = [], []
        self._waiting = 0


def _gmqtt_will(packet: Packet) -> gmqtt.Message:
    properties = {} if packet.expires is None else {"message_expiry_interval": packet.expires}
    return gmqtt.Message(packet.topic, packet.payload, qos=packet.qos, retain=packet.retain, **properties)
