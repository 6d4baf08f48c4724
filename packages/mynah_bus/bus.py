"""One process's place on the bus: publish, request, stream, listen."""

import asyncio
import logging
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Protocol, Self, TypeVar, overload

from mynah_bus.context import Context, current
from mynah_bus.errors import BadMessage, BusClosed, MynahError
from mynah_bus.exchange import Exchange
from mynah_bus.fleet import Fleet
from mynah_bus.mqtt import Address, MqttLink
from mynah_bus.settings import BusSettings
from mynah_bus.wire import Packet, Received, decode, encode, message_type, peek
from mynah_contracts import OBSERVERS, Accepted, Command, Failed, Health, Kind, Message, Role

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

SEEN: Final = 4_096
LISTENER_QUEUE: Final = 1_000
SLOW_ECHO: Final = 0.020


class Link(Protocol):
    """What carries packets: a broker, or the in-memory one."""

    on_packet: Callable[[Packet], None]
    connections: int
    dropped: int

    @property
    def connected(self) -> bool:
        """Whether packets go out at once."""

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_lost: Callable[[], None]) -> None:
        """Live as long as the link."""

    async def close(self) -> None:
        """Say goodbye and stop."""

    async def drained(self, within: float) -> None:
        """Return when every QoS 1 packet is acknowledged."""

    def publish(self, packet: Packet) -> None:
        """Send, or keep for later."""

    def publish_now(self, packet: Packet) -> None:
        """Send while connecting."""

    def publish_acknowledged(self, packet: Packet) -> asyncio.Future[int]:
        """Send; the result is the broker's reason code."""

    async def subscribe(self, filters: list[tuple[str, int]]) -> None:
        """Subscribe and wait for the broker's word."""


LinkFactory = Callable[[Role, str, Callable[[], Packet] | None], Link]


class Bus:
    """A role's connection; used as `async with Bus(role) as bus`, or inside a Worker."""

    def __init__(
        self,
        role: Role,
        settings: BusSettings | None = None,
        *,
        link: LinkFactory | None = None,
        where: dict[str, str] | None = None,
    ) -> None:
        self.role = role
        self.settings = settings or BusSettings()
        self.instance = self.settings.instance_name()
        self.source = f"{role.value}/{self.instance}"
        self.base = self.settings.base
        self.where = where or {}
        self.fleet = Fleet()
        self.counters: dict[str, int] = {}
        self.started_at = time.time()
        self.connected = asyncio.Event()
        self.greet: Callable[[], Awaitable[None]] | None = None
        """Called after each connection, when the broker has confirmed the subscriptions."""
        self.on_reconnect: set[Callable[[], None]] = set()
        """Called when the connection is back after it was lost: what was sent meanwhile by others did not arrive."""
        self.will: Callable[[], Packet] | None = None
        self._make_link = link or self._mqtt_link
        self._link: Link | None = None
        self._filters: dict[str, int] = {}
        self._routes: dict[type[Message], list[Callable[[Received], None]]] = {}
        self._exchanges: dict[str, Exchange] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self.reply_topic = f"{self.base}/reply/{role.value}/{self.instance}"
        self._prefix = f"{self.base}/"
        self._tasks: asyncio.TaskGroup | None = None
        self._running: asyncio.Task[None] | None = None
        self._echo: asyncio.Future[None] | None = None
        self._closed = False
        self.route(Health, lambda received: self.fleet.observe(_of(received, Health)))

    # -- lifetime

    def use(self, link: LinkFactory) -> None:
        """Take another link than MQTT; before the bus is entered."""
        self._make_link = link

    async def __aenter__(self) -> Self:
        """Connect; returns when the broker has confirmed the first subscriptions."""
        self._link = self._make_link(self.role, self.instance, self.will)
        self._link.on_packet = self._arrived
        self._filters[f"{self.reply_topic}/#"] = 1
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self._running = self._tasks.create_task(self._link.run(self._on_connect, self._on_lost), name="link")
        return self

    async def __aexit__(self, *error: object) -> None:
        """Fail what is pending, send what waits, hang up."""
        self._closed = True
        for exchange in tuple(self._exchanges.values()):
            exchange.fail(BusClosed("The bus was closed before the answer came."))
        assert self._link is not None
        assert self._running is not None
        assert self._tasks is not None
        if self._link.connected:
            await self._link.drained(1.0)
        await self._link.close()
        self._running.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until connected; ConnectionError says that no broker answers."""
        try:
            async with asyncio.timeout(timeout):
                await self.connected.wait()
        except TimeoutError as error:
            address = Address.parse(self.settings.broker_url)
            raise ConnectionError(f"No broker answers at {address.host}:{address.port}.") from error

    async def until_up(self, *roles: Role, timeout: float | None = None) -> None:
        """Wait until a worker of each role is up; TimeoutError names who is missing."""
        changed = asyncio.Event()

        def note(_: Health) -> None:
            changed.set()

        self.fleet.on_change.add(note)
        try:
            async with asyncio.timeout(timeout):
                while not all(self.fleet.is_up(role) for role in roles):
                    changed.clear()
                    await changed.wait()
        except TimeoutError as error:
            missing = ", ".join(role.value for role in roles if not self.fleet.is_up(role))
            raise TimeoutError(f"Not up after {timeout:g} s: {missing}.") from error
        finally:
            self.fleet.on_change.discard(note)

    # -- sending

    def publish(self, message: Message, *, topic: str | None = None) -> None:
        """Send a message on its own topic; TypeError if our role may not."""
        self._may_send(message)
        self._out.publish(self._packet(message, topic or f"{self._prefix}{message.topic}"))

    async def delivered(self, message: Message) -> bool:
        """Send a message and wait for the broker's word; False when nobody listens."""
        self._may_send(message)
        code = await self._out.publish_acknowledged(self._packet(message, f"{self._prefix}{message.topic}", qos=1))
        return code == 0

    def reply(
        self,
        message: Message,
        to: str,
        *,
        correlation_id: str | None,
        correlation: bytes | None,
        context: Context,
        qos: int | None = None,
    ) -> Packet:
        """Answer a request; the packet that was sent is returned."""
        packet = encode(
            message,
            topic=to,
            source=self.source,
            context=context,
            correlation_id=correlation_id,
            correlation=correlation,
            qos=qos,
        )
        packet.retain = False
        self._out.publish(packet)
        return packet

    def send_again(self, packet: Packet) -> None:
        """Send a packet once more, for a request that came twice."""
        self._out.publish(packet)

    @overload
    async def request(self, command: Command, *, timeout: float = 5.0) -> Message: ...
    @overload
    async def request(self, command: Command, reply: type[M], *, timeout: float = 5.0) -> M: ...
    async def request(
        self,
        command: Command,
        reply: type[Message] = Message,
        *,
        timeout: float = 5.0,
    ) -> Message:
        """Have a command done and return its reply; RequestFailed says, by the deadline, why it was not."""
        with self._exchange(command, timeout, parts=False) as exchange:
            answer = await exchange.answer
        if not isinstance(answer, reply):
            raise TypeError(f"{command.contract.name} is answered with {type(answer).__name__}, not {reply.__name__}")
        return answer

    async def stream(self, command: Command, *, timeout: float = 30.0) -> AsyncIterator[Message]:
        """Have a command done and yield its parts as they come, its reply last."""
        with self._exchange(command, timeout, parts=True) as exchange:
            async for part in exchange.parts():
                yield part

    def _exchange(self, command: Command, timeout: float, *, parts: bool) -> Exchange:
        self._may_send(command)
        if self._closed:
            raise BusClosed("The bus is closed.")
        return Exchange(
            command,
            timeout=timeout,
            fleet=self.fleet,
            send=self._send_request,
            streaming=parts,
            pending=self._exchanges,
        )

    def _send_request(self, exchange: Exchange, instance: str | None) -> asyncio.Future[int] | None:
        """Send a request to one worker, or to whoever shares its topic; then the future is the broker's word."""
        command = exchange.command
        topic = f"{self._prefix}{command.topic}"
        packet = encode(
            command,
            topic=topic if instance is None else f"{topic}/{instance}",
            source=self.source,
            context=exchange.context,
            identifier=exchange.id,
            correlation_id=exchange.id,
            reply_to=self.reply_topic,
            expires=exchange.expires,
        )
        if instance is None:
            packet.qos = 1
            return self._out.publish_acknowledged(packet)
        self._out.publish(packet)
        return None

    def _packet(self, message: Message, topic: str, qos: int | None = None) -> Packet:
        context = current()
        return encode(
            message, topic=topic, source=self.source, context=context, qos=qos, correlation_id=context.correlation_id
        )

    def _may_send(self, message: Message) -> None:
        if self.role not in message.contract.by:
            raise TypeError(f"{message.contract.name} is not for {self.role.value} to send")

    # -- hearing

    def route(self, kind: type[M], receive: Callable[[Received], None]) -> None:
        """Hear a message from the next connection on."""
        self._routes.setdefault(kind, []).append(receive)
        self._filters.update(self.filters(kind))

    def filters(self, kind: type[Message]) -> dict[str, int]:
        """The topic filters, with their QoS, through which our role hears a message; TypeError if it may not."""
        contract = kind.contract
        if contract.topic is None:
            return {}
        topic = contract.topic
        for parameter in contract.parameters:
            topic = topic.replace(f"{{{parameter}}}", self.where.get(parameter, "+"))
        topic = f"{self._prefix}{topic}"
        if contract.kind is Kind.COMMAND and self.role in contract.to:
            return {
                f"$share/{self.role.value}/{topic}": contract.qos,
                f"{topic}/{self.instance}": contract.qos,
            }
        if contract.kind is Kind.COMMAND and (self.role in contract.overheard_by or self.role in OBSERVERS):
            return {topic: contract.qos, f"{topic}/+": contract.qos}
        if self.role not in (*contract.to, *contract.overheard_by, *OBSERVERS):
            raise TypeError(f"{contract.name} is not for {self.role.value} to hear")
        return {topic: contract.qos}

    @asynccontextmanager
    async def listening(self, *kinds: type[Message]) -> AsyncIterator[AsyncIterator[Received]]:
        """Hear messages while the block lasts; of a listener that lags the oldest are dropped."""
        queue: asyncio.Queue[Received] = asyncio.Queue(LISTENER_QUEUE)

        def receive(received: Received) -> None:
            if queue.full():
                queue.get_nowait()
                self.count("dropped")
            queue.put_nowait(received)

        async def heard() -> AsyncIterator[Received]:
            while True:
                yield await queue.get()

        before = dict(self._filters)
        for kind in kinds:
            self.route(kind, receive)
        try:
            added = [(topic, qos) for topic, qos in self._filters.items() if topic not in before]
            if added and self._link is not None and self.connected.is_set():
                await self._link.subscribe(added)
            yield heard()
        finally:
            for kind in kinds:
                self._routes[kind].remove(receive)

    def count(self, what: str, by: int = 1) -> None:
        """Count something for the health message."""
        self.counters[what] = self.counters.get(what, 0) + by

    # -- arriving; nothing here ever waits

    def _arrived(self, packet: Packet) -> None:
        topic = packet.topic
        if topic.startswith(self.reply_topic):
            self._answered(packet)
            return
        if not topic.startswith(self._prefix):
            return
        kind = message_type(topic[len(self._prefix) :])
        routes = self._routes.get(kind) if kind is not None else None
        if kind is None or not routes:
            return
        contract = kind.contract
        if contract.kind is Kind.STATE and not packet.payload:
            return  # a deleted state
        try:
            if contract.kind is Kind.COMMAND and packet.retain:
                raise BadMessage("A retained command is refused: it would be done again at every start.")  # noqa: TRY301
            received = decode(packet, kind)
            received.directed = topic.endswith(f"/{self.instance}")
        except BadMessage as error:
            self.refuse(packet, kind, error)
            return
        if contract.kind is Kind.EVENT and self._twice(received.envelope.id):
            self.count("duplicates")
            return
        self.count("received")
        for receive in routes:
            receive(received)

    def refuse(self, packet: Packet, kind: type[Message], error: MynahError) -> None:
        """Count what does not fit, answer it where an answer is expected, and report it."""
        self.count("bad_messages")
        envelope = peek(packet)
        if kind is Failed:
            return
        failed = Failed(code=error.code, message=str(error), about=kind.contract.name)
        context = Context(turn=envelope.turn, session=envelope.session)
        reply_to = packet.response_topic or envelope.reply_to
        if kind.contract.kind is Kind.COMMAND and reply_to and self.may_reply(reply_to):
            self.reply(
                failed,
                reply_to,
                correlation_id=envelope.correlation_id,
                correlation=packet.correlation,
                context=context,
            )
        log.info("Refused a message on %s: %s", packet.topic, error)
        if self.role in Failed.contract.by:
            self._out.publish(
                encode(failed, topic=f"{self._prefix}{failed.topic}", source=self.source, context=context)
            )

    def may_reply(self, reply_to: str) -> bool:
        """Whether a reply topic lies where replies belong: our rights are nobody's tool."""
        return reply_to.startswith(f"{self._prefix}reply/") and not {"+", "#"} & set(reply_to)

    def _answered(self, packet: Packet) -> None:
        if self._echo is not None and packet.correlation == b"echo":
            if not self._echo.done():
                self._echo.set_result(None)
            return
        try:
            received = decode(packet, None)
        except BadMessage as error:
            self.count("bad_messages")
            log.info("Ignored an answer that does not fit: %s", error)
            return
        identifier = received.envelope.correlation_id or (received.correlation or b"").decode(errors="replace")
        exchange = self._exchanges.get(identifier)
        if exchange is None:
            self.count("late_answers")
        else:
            exchange.answered(received)

    def _twice(self, identifier: str) -> bool:
        if not identifier:
            return False
        if identifier in self._seen:
            return True
        self._seen[identifier] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False

    # -- connecting

    @property
    def _out(self) -> Link:
        if self._link is None:
            raise BusClosed("The bus is not open.")
        return self._link

    @property
    def link(self) -> Link:
        """The link below, for the health message."""
        return self._out

    @property
    def pending(self) -> int:
        """Requests that wait for their answer."""
        return len(self._exchanges)

    async def _on_connect(self) -> None:
        self.fleet.forget()
        subscribed = dict(self._filters)
        await self._out.subscribe(list(subscribed.items()))
        seconds = await self._echo_once()
        if seconds > SLOW_ECHO:
            seconds = min(seconds, await self._echo_once())
        if seconds > SLOW_ECHO:
            log.warning("A message through the broker takes %.0f ms; is `set_tcp_nodelay true` set?", seconds * 1e3)
        if self.greet is not None:
            await self.greet()
        while late := self._filters.items() - subscribed.items():
            subscribed.update(late)
            await self._out.subscribe(list(late))
        self.connected.set()
        for exchange in tuple(self._exchanges.values()):
            exchange.reconnected()
        if self._out.connections > 1:
            for told in tuple(self.on_reconnect):
                told()

    async def _echo_once(self) -> float:
        """Send a message to ourselves; everything retained has arrived when it is back."""
        began = time.perf_counter()
        self._echo = asyncio.get_running_loop().create_future()
        packet = encode(
            Accepted(), topic=self.reply_topic, source=self.source, context=Context(), correlation=b"echo", qos=1
        )
        try:
            async with asyncio.timeout(5):
                self._out.publish_now(packet)
                await self._echo
        finally:
            self._echo = None
        return time.perf_counter() - began

    def _on_lost(self) -> None:
        self.connected.clear()
        log.warning("The connection to the broker was lost.")

    def _mqtt_link(self, role: Role, instance: str, will: Callable[[], Packet] | None) -> Link:
        settings = self.settings
        address = Address.parse(settings.broker_url)
        if address.username is None:
            username, password = settings.credentials(role)
            address = Address(address.host, address.port, address.tls, username, password)
        context = ssl.create_default_context(cafile=settings.broker_ca) if address.tls and settings.broker_ca else None
        nonce = os.urandom(4).hex()
        return MqttLink(address, client_id=f"{role.value}-{instance}-{nonce}", will=will, tls=context)


def _of(received: Received, kind: type[M]) -> M:
    message = received.message
    assert isinstance(message, kind)
    return message
