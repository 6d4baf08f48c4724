"""One process's place on the bus: publish, request, stream, listen."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from threading import get_ident
from typing import Final, Self, TypeVar, overload

from mynah_bus.asking import Asking
from mynah_bus.audience import Audience
from mynah_bus.background import background
from mynah_bus.context import Context, current
from mynah_bus.echo import Echo
from mynah_bus.errors import BadMessage, BusClosed
from mynah_bus.exchange import Exchange
from mynah_bus.fleet import Fleet
from mynah_bus.hearing import Hearing, Listener
from mynah_bus.link import Filter, Hooks, Link, LinkFactory
from mynah_bus.mqtt import Address
from mynah_bus.mqtt_link import MqttLink
from mynah_bus.packet import Packet
from mynah_bus.settings import BusSettings
from mynah_bus.subscriptions import Subscriptions, filters_for
from mynah_bus.wire import Received, decode, encode, peek
from mynah_contracts import Command, Failed, Health, Kind, Message, Role
from mynah_resilience import OneThread, RateLimiter

log = logging.getLogger(__name__)

M = TypeVar("M", bound=Message)

LISTENER_QUEUE: Final = 1_000
DRAINS_WITHIN: Final = 1.0
REPORTED_AT_ONCE: Final = 100
REPORTED_PER_MINUTE: Final = 600
"""What went wrong and is told of, in the log and on the bus; all is counted."""
LONGEST_REPLY_TOPIC: Final = 256


class Bus:
    """A role's connection; used as `async with Bus(role) as bus`, or inside a Worker. It belongs to one thread.

    What ends the connection for good ends the block: ConnectionRefused and PermissionError.
    """

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
        self._audience = Audience(self.fleet, role, self.instance)
        self.counters: dict[str, int] = {}
        self.started_at = time.time()
        self.connected = asyncio.Event()
        self.greet: Callable[[], None] | None = None
        """Called after each connection, when the broker has confirmed the subscriptions."""
        self.on_reconnect: set[Callable[[], None]] = set()
        """Called when the connection is back after it was lost: what was sent meanwhile by others did not arrive."""
        self.will: Callable[[], Packet] | None = None
        """Asked, before each connection, for what the broker says when we cannot."""
        self.reply_topic = f"{self.base}/reply/{role.value}/{self.instance}"
        self._prefix = f"{self.base}/"
        self._make_link = link or partial(MqttLink.joining, self.settings)
        self._link: Link | None = None
        self._subscriptions = Subscriptions()
        self._hearing = Hearing(
            prefix=self._prefix, role=role, instance=self.instance, count=self.count, turned_away=self._turn_away
        )
        self._asking = Asking(
            fleet=self.fleet,
            prefix=self._prefix,
            source=self.source,
            reply_topic=self.reply_topic,
            attempt=self._attempt,
        )
        self._states: dict[str, Packet] = {}
        self._stack = AsyncExitStack()
        self._reports = RateLimiter(REPORTED_PER_MINUTE, REPORTED_AT_ONCE)
        self._echo = Echo(self.reply_topic, self.source)
        self._closed = False
        self._thread = OneThread("The bus")
        self._ident = 0
        self.route(Health, self._observe)

    # -- lifetime

    def use(self, link: LinkFactory) -> None:
        """Take another link than MQTT; before the bus is entered."""
        self._make_link = link

    async def __aenter__(self) -> Self:
        """Begin to connect; `ready` waits until that is done."""
        self._thread.check()
        self._ident = get_ident()
        self._link = self._make_link(self.role, self.instance)
        self._subscriptions.want((Filter(f"{self.reply_topic}/#", 1),))
        self._link.on_packet = self._arrived
        hooks = Hooks(self._on_connect, self._on_lost, self.will, self._audience.back)
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(background())
            stack.callback(tasks.create_task(self._link.run(hooks), name="link").cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        """Fail what is pending, send what waits, hang up."""
        link = self.link
        self._closed = True
        link.on_packet = self._answered  # whatever else comes is for others, and for those who ask again
        self._asking.close()
        try:
            if link.connected:
                await link.drained(DRAINS_WITHIN)
        finally:
            try:
                await self._stack.aclose()
            finally:
                self.connected.clear()

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

    @property
    def link(self) -> Link:
        """The link below, for the health message."""
        if self._link is None or self._closed:
            raise BusClosed("The bus is not open.")
        return self._link

    @property
    def pending(self) -> int:
        """Requests that wait for their answer."""
        return len(self._asking)

    # -- sending

    def publish(self, message: Message, *, topic: str | None = None) -> None:
        """Send a message on its own topic; TypeError if our role may not."""
        self._check_thread()
        packet = self._packet(message, topic)
        if message.contract.kind is not Kind.STATE:
            self.link.publish(packet)
            return
        self._states[packet.topic] = packet
        if self.connected.is_set():
            self.link.attempt(packet)

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
        """Answer a request, at the QoS of the message or another; the packet that was sent is returned."""
        packet = encode(
            message,
            topic=to,
            source=self.source,
            context=context,
            correlation_id=correlation_id,
        )
        packet.correlation = correlation
        packet.retain = False
        if qos is not None:
            packet.qos = qos
        self.link.publish(packet, direct=True)
        return packet

    def report(self, failed: Failed, context: Context) -> bool:
        """Tell everybody what went wrong, if we may; False when too much was told lately."""
        if not self._reports.try_acquire():
            return False
        if self.role in Failed.contract.by and failed.about != Failed.contract.name:  # a report of a report has no end
            topic = f"{self._prefix}{failed.topic}"
            self.link.publish(
                encode(failed, topic=topic, source=self.source, context=context, correlation_id=context.correlation_id)
            )
        return True

    def send_again(self, packet: Packet) -> None:
        """Send a packet once more, for a request that came twice."""
        self.link.publish(replace(packet), direct=True)

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
        self._check_thread()
        self._may_send(command)
        if command.contract.reply is None:
            raise TypeError(f"{command.contract.name} is not answered; publish it")
        if self._link is None or self._closed:
            raise BusClosed("The bus is not open.")
        return self._asking.exchange(command, timeout, parts=parts)

    def _attempt(self, packet: Packet, told: Callable[[int], None]) -> bool:
        return self.connected.is_set() and self.link.attempt(packet, told)

    def _packet(self, message: Message, topic: str | None = None) -> Packet:
        self._may_send(message)
        context = current()
        return encode(
            message,
            topic=topic or f"{self._prefix}{message.topic}",
            source=self.source,
            context=context,
            correlation_id=context.correlation_id,
        )

    def _check_thread(self) -> None:
        if get_ident() != self._ident:
            self._thread.check()

    def _may_send(self, message: Message) -> None:
        if self.role not in message.contract.by:
            raise TypeError(f"{message.contract.name} is not for {self.role.value} to send")

    # -- hearing

    def route(self, kind: type[Message], listener: Listener) -> None:
        """Have a function told of every message of a type, from the next connection on; TypeError: not for us."""
        self._subscriptions.want(self.filters(kind))
        self._hearing.add(kind, listener)

    def filters(self, kind: type[Message]) -> tuple[Filter, ...]:
        """The subscriptions through which our role hears a message; TypeError if it may not."""
        return filters_for(kind, self.role, base=self.base, instance=self.instance, where=self.where)

    @asynccontextmanager
    async def listening(self, *kinds: type[Message]) -> AsyncIterator[AsyncIterator[Received]]:
        """Hear messages while the block lasts, retained ones first; of a listener that lags the oldest are dropped."""
        self._thread.check()
        queue: asyncio.Queue[Received] = asyncio.Queue(LISTENER_QUEUE)

        def listen(received: Received) -> None:
            if queue.full():
                queue.get_nowait()
                self.count("dropped")
            queue.put_nowait(received)

        async def heard() -> AsyncIterator[Received]:
            while True:
                yield await queue.get()

        filters = {kind: self.filters(kind) for kind in kinds}
        states = [each for kind in kinds if kind.contract.kind is Kind.STATE for each in filters[kind]]
        for kind in kinds:
            self.route(kind, listen)
        try:
            if self.connected.is_set():
                with contextlib.suppress(ConnectionError, TimeoutError):  # the next connection subscribes
                    await self._subscriptions.begin(self.link, again=states)
            yield heard()
        finally:
            for kind in kinds:
                self._hearing.remove(kind, listen)
                self._subscriptions.unwant(filters[kind])
            if self.connected.is_set() and not self._closed:
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await self._subscriptions.end(self.link)

    def count(self, what: str, by: int = 1) -> None:
        """Count something for the health message."""
        self.counters[what] = self.counters.get(what, 0) + by

    # -- arriving; nothing here ever waits

    def _arrived(self, packet: Packet) -> None:
        if packet.topic.startswith(self.reply_topic):
            self._answered(packet)
        else:
            self._hearing.arrived(packet)

    def _observe(self, received: Received) -> None:
        assert isinstance(received.message, Health)
        self.fleet.observe(received.message, received.expires)

    def _answered(self, packet: Packet) -> None:
        if self._echo.heard(packet):
            return
        try:
            received = decode(packet, None)
        except BadMessage as error:
            self.count("bad_messages")
            if self._reports.try_acquire():
                log.info("Ignored an answer that does not fit: %s", error)
            return
        if not self._asking.heard(packet.topic, received):
            self.count("late_answers")

    def may_reply(self, reply_to: str) -> bool:
        """Whether a reply topic lies where replies belong: our rights are nobody's tool."""
        return (
            reply_to.startswith(f"{self._prefix}reply/")
            and len(reply_to) <= LONGEST_REPLY_TOPIC
            and reply_to.isprintable()  # a broker hangs up over what is not
            and "+" not in reply_to
            and "#" not in reply_to
        )

    def _turn_away(self, packet: Packet, kind: type[Message], error: BadMessage) -> None:
        """Answer what does not fit where an answer is expected, and report it."""
        envelope = peek(packet)
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
        if self.report(failed, context):
            log.info("Refused a message on %s: %s", packet.topic, error)

    # -- connecting

    async def _on_connect(self) -> None:
        self.fleet.doubt()
        self._subscriptions.forget()
        await self._subscriptions.begin(self.link)
        await self._echo.test(self.link)
        self._audience.found()
        await self._subscriptions.begin(self.link)  # what was wanted meanwhile
        for state in self._states.values():
            self.link.attempt(state)  # the broker may have lost it
        if self.greet is not None:
            self.greet()
        self.connected.set()
        self._asking.reconnected()
        if self.link.connections > 1:
            for told in tuple(self.on_reconnect):
                told()

    def _on_lost(self) -> None:
        self.connected.clear()
        if self.will is not None:  # who has none cannot tell whether the broker lived
            self._audience.lost()
        if not self._closed:
            log.warning("The connection to the broker was lost.")
