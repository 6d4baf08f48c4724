"""The link to a broker: connects again, sends again, keeps what cannot be sent, within bounds."""

import asyncio
import logging
import os
import random
import ssl
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from mynah_bus.errors import TooLarge
from mynah_bus.link import REFUSED, Filter, Hooks
from mynah_bus.mqtt import FIRST_NUMBER, LAST_NUMBER, Address, Connection, ConnectionRefused
from mynah_bus.nearby import LOCAL, broker_socket
from mynah_bus.packet import Packet, pack
from mynah_bus.settings import BusSettings
from mynah_contracts import Role

log = logging.getLogger(__name__)

OUTBOX: Final = 1_000
"""Messages that wait for the broker."""
OUTBOX_BYTES: Final = 32 << 20
TRIES: Final = 5
"""Losses of the connection that a message under way survives: it may be what the broker hangs up over."""
HIGH_WATER: Final = 1 << 20
"""Bytes not yet taken by the network above which streams are dropped."""
FIRST_PAUSE: Final = 0.2
LONGEST_PAUSE: Final = 5.0
STEADY_AFTER: Final = 10.0
"""Seconds after which a connection has held: the next pause is short again."""
FATAL: Final = frozenset({0x84, 0x85, 0x86, 0x87, 0x8A, 0x8C})
"""Refusals that trying again does not mend, such as a wrong password."""


@dataclass(slots=True)
class Parcel:
    """A QoS 1 packet on its way, and who is told of the broker's word."""

    packet: Packet
    again: bool
    """Whether it is sent again after a loss."""
    answered: Callable[[int], None] | None = None
    since: float = 0.0
    """When it began to wait."""
    losses: int = 0
    """How often the connection was lost while it was under way."""
    direct: bool = False
    """Whether it is for one who asks, and not for everybody."""

    def aged(self) -> bool:
        """Take the time that it waited off its life; whether there is some left."""
        if self.packet.expires is None:
            return True
        waited = int(asyncio.get_running_loop().time() - self.since)
        self.since += waited
        self.packet.expires -= waited
        return self.packet.expires > 0

    def acknowledged(self, code: int) -> None:
        """The broker has it, or refuses it."""
        if self.answered is not None:
            self.answered(code)
        elif code >= REFUSED:
            log.warning("The broker refuses a message on %s (reason 0x%02x)", self.packet.topic, code)


class MqttLink:
    """A connection that is there again after it was lost."""

    def __init__(
        self,
        address: Address,
        *,
        client_id: str,
        tls: ssl.SSLContext | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._tls = tls if tls is not None or not address.tls else ssl.create_default_context()
        self._pause = pause
        self._connection: Connection | None = None
        self._under_way: dict[int, Parcel] = {}
        self._number = FIRST_NUMBER
        self._outbox: deque[Parcel] = deque()
        self._outbox_bytes = 0
        self._ready = False
        self._open = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._hooks: Hooks
        self.on_packet: Callable[[Packet], None] = lambda _: None
        self.connections = 0
        self.dropped = 0

    @classmethod
    def joining(cls, settings: BusSettings, role: Role, instance: str) -> Self:
        """The link of a role, where the settings say that the broker is."""
        address = Address.parse(settings.broker_url)
        if address.password is None:
            username, password = settings.credentials(role)
            address = replace(address, username=address.username or username, password=password)
        if address.host in LOCAL and not address.tls:
            address = replace(address, near=broker_socket(settings.home, address.port))
        tls = ssl.create_default_context(cafile=settings.broker_ca) if address.tls and settings.broker_ca else None
        return cls(address, client_id=f"{role.value}-{instance}-{os.urandom(4).hex()}", tls=tls)

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""
        return self._ready

    async def run(self, hooks: Hooks) -> None:
        """Connect, and again after every loss; ConnectionRefused and PermissionError end it."""
        self._hooks = hooks
        pause = 0.0
        now = asyncio.get_running_loop().time
        while True:
            began = now()
            try:
                await self._connect()
            except ConnectionRefused as refused:
                if refused.code in FATAL:
                    raise
                log.warning("%s", str(refused))
            except PermissionError:
                raise
            except (OSError, TimeoutError) as error:
                if not pause:
                    where = f"{self._address.host}:{self._address.port}"
                    log.warning("The broker at %s is away: %s", where, str(error) or type(error).__name__)
            if now() - began > STEADY_AFTER:
                pause = 0.0
            pause = min(LONGEST_PAUSE, 2 * pause or FIRST_PAUSE)
            await self._pause(pause * random.uniform(0.5, 1.0))  # noqa: S311  # no secret

    async def _connect(self) -> None:
        """Connect, greet, send what waited, and last until the connection is lost."""
        hooks = self._hooks
        connection = Connection(
            self._address,
            client_id=self._client_id,
            will=hooks.will() if hooks.will else None,
            tls=self._tls,
            arrived=self._arrived,
            acknowledged=self._acknowledged,
        )
        async with connection:
            self._connection = connection
            self.connections += 1
            opening = asyncio.ensure_future(self._open_up(hooks))
            try:
                await asyncio.wait({opening, connection.lost}, return_when=asyncio.FIRST_COMPLETED)
                if opening.done():
                    opening.result()
                    await asyncio.wait({connection.lost})  # awaited itself, it would be cancelled with us
            finally:
                was_ready, self._ready, self._open = self._ready, False, False
                self._connection = None
                opening.cancel()
                await asyncio.gather(opening, return_exceptions=True)
                self._sort_out()
                if was_ready:
                    hooks.on_lost()

    async def _open_up(self, hooks: Hooks) -> None:
        """Greet; send the answers that waited for the broker, then what waits for everybody."""
        await hooks.on_connect()
        self._ready = True
        self._flush()
        await hooks.audience()
        self._open = True
        self._flush()

    async def drained(self, within: float) -> None:
        """Return when every QoS 1 packet is acknowledged, at the latest after that many seconds."""
        self._open = self._ready
        self._flush()
        try:
            async with asyncio.timeout(within):
                await self._idle.wait()
        except TimeoutError:
            log.warning("The broker has not acknowledged %d messages", len(self._under_way) + len(self._outbox))

    def publish(self, packet: Packet, *, direct: bool = False) -> None:
        """Send; at QoS 1 again after a loss, while away kept in a bounded outbox. TooLarge when it cannot be sent."""
        if packet.qos:
            self._post(Parcel(packet, again=True, direct=direct))
        elif self._ready:
            self._send_losable(packet)
        else:
            self.dropped += 1

    def attempt(self, packet: Packet, answered: Callable[[int], None] | None = None) -> bool:
        """Send now or not at all; works in `on_connect` already, and is not sent again."""
        if self._connection is None:
            return False
        if not packet.qos:
            self._send_losable(packet)
        else:
            self._post(Parcel(packet, again=False, answered=answered))
        return True

    async def subscribe(self, filters: Sequence[Filter]) -> None:
        """Subscribe and wait for the broker's word; PermissionError names what it refuses."""
        if self._connection is None:
            raise ConnectionResetError("not connected")
        await self._connection.subscribe(filters)

    async def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions; without a connection there are none."""
        if self._connection is not None:
            await self._connection.unsubscribe(topics)

    def _arrived(self, packet: Packet) -> None:
        self.on_packet(packet)

    def _post(self, parcel: Parcel) -> None:
        """Send in order, or let wait."""
        if self._must_wait(parcel) or not self._send(parcel):
            self._keep(parcel)

    def _must_wait(self, parcel: Parcel) -> bool:
        """Whether others of its kind go before it, or those that it is for are not there."""
        if not parcel.again:  # its sender sends it again: it may go before all are greeted
            return self._open and bool(self._outbox)
        if parcel.direct:
            return not self._ready or any(each.direct for each in self._outbox)
        return not self._open or bool(self._outbox)

    def _send(self, parcel: Parcel) -> bool:
        """Write a packet; False when as many are under way as the broker takes."""
        connection = self._connection
        assert connection is not None
        if len(self._under_way) >= connection.window:
            return False
        number = self._next_number()
        data = pack(parcel.packet, number)
        if len(data) > connection.largest:
            raise self._too_large(connection)
        self._under_way[number] = parcel
        self._idle.clear()
        connection.send(data)
        return True

    def _next_number(self) -> int:
        """A packet identifier that is not under way."""
        number = self._number
        while True:
            number = number + 1 if number < LAST_NUMBER else FIRST_NUMBER
            if number not in self._under_way:
                self._number = number
                return number

    def _send_losable(self, packet: Packet) -> None:
        connection = self._connection
        assert connection is not None
        if connection.backlog > HIGH_WATER:
            self.dropped += 1
            return
        data = pack(packet, 0)
        if len(data) > connection.largest:
            raise self._too_large(connection)
        connection.send(data)

    def _too_large(self, connection: Connection) -> TooLarge:
        """The broker would hang up over it, now and after each reconnect."""
        self.dropped += 1
        return TooLarge(f"It is larger than the {connection.largest} bytes that the broker takes.")

    def _acknowledged(self, number: int, code: int) -> None:
        parcel = self._under_way.pop(number, None)
        if parcel is not None:
            parcel.acknowledged(code)
        if self._outbox:
            self._flush()
        elif not self._under_way:
            self._idle.set()

    def _keep(self, parcel: Parcel) -> None:
        """Let a packet wait; of too many, the oldest goes. What the broker will not take is refused now, not then."""
        connection = self._connection
        if connection is not None and len(pack(parcel.packet, FIRST_NUMBER)) > connection.largest:
            raise self._too_large(connection)
        parcel.since = asyncio.get_running_loop().time()
        self._outbox.append(parcel)
        self._outbox_bytes += len(parcel.packet.payload)
        self._idle.clear()
        while len(self._outbox) > OUTBOX or (self._outbox_bytes > OUTBOX_BYTES and len(self._outbox) > 1):
            self._give_up(self._take(), "Too much waits for the broker; the oldest was dropped.")

    def _take(self) -> Parcel:
        parcel = self._outbox.popleft()
        self._outbox_bytes -= len(parcel.packet.payload)
        return parcel

    def _flush(self) -> None:
        """Send what waited, as much as the broker takes."""
        held: list[Parcel] = []
        while self._outbox and self._ready:
            parcel = self._outbox[0]
            if not (parcel.direct or self._open):
                held.append(self._outbox.popleft())
                continue
            try:
                if not parcel.aged():
                    self._give_up(parcel, "It waited for the broker longer than it was worth anything.")
                elif not self._send(parcel):
                    break
            except TooLarge as error:
                log.warning("Dropped a message on %s: %s", parcel.packet.topic, str(error))
            self._take()
        self._outbox.extendleft(reversed(held))
        if not self._under_way and not self._outbox:
            self._idle.set()

    def _give_up(self, parcel: Parcel, why: str) -> None:
        log.warning("Dropped a message on %s: %s", parcel.packet.topic, why)
        self.dropped += 1

    def _sort_out(self) -> None:
        """After a loss: what is sent again begins with what was under way, the rest is its senders' to send again."""
        for parcel in self._under_way.values():
            parcel.since = asyncio.get_running_loop().time()
            parcel.losses += 1
            if parcel.losses == TRIES:
                self._give_up(parcel, "The connection was lost each time it was sent.")
        waiting = (*self._under_way.values(), *self._outbox)
        again = [parcel for parcel in waiting if parcel.again and parcel.losses < TRIES]
        self._under_way.clear()
        self._outbox = deque(again)
        self._outbox_bytes = sum(len(parcel.packet.payload) for parcel in again)
        if not again:
            self._idle.set()
