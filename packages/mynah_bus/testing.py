"""Tests of workers without a broker: real workers, an in-memory one, and answers to wait for."""

import asyncio
import contextlib
import selectors
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

from mynah_bus.bus import Bus
from mynah_bus.errors import BadMessage
from mynah_bus.memory_link import InMemoryBroker
from mynah_bus.packet import Packet
from mynah_bus.settings import BusSettings
from mynah_bus.wire import Received, decode, message_type
from mynah_bus.worker import Worker
from mynah_contracts import Command, Message, Role

M = TypeVar("M", bound=Message)


class Stage:
    """What a test holds: it may send anything, and hears everything."""

    def __init__(self, broker: InMemoryBroker, base: str) -> None:
        self.broker = broker
        self.base = base
        self._heard: asyncio.Queue[Received] = asyncio.Queue()
        self._waiting: list[Received] = []
        self._buses: dict[Role, Bus] = {}
        broker.watch(self._hear)

    async def send(self, message: Message, *, role: Role | None = None) -> None:
        """Publish a message as the first role that may, or as the one given."""
        bus = await self._bus(role or message.contract.by[0])
        bus.publish(message)

    async def ask(self, command: Command, *, timeout: float = 5.0, role: Role | None = None) -> Message:
        """Have a command done and return its reply."""
        bus = await self._bus(role or command.contract.by[0])
        return await bus.request(command, timeout=timeout)

    async def next(self, kind: type[M], *, timeout: float = 10.0) -> M:
        """The next message of a type on its own topic; TimeoutError when none comes."""
        received = await self.received(kind, timeout=timeout)
        assert isinstance(received.message, kind)
        return received.message

    async def received(self, kind: type[Message], *, timeout: float = 10.0) -> Received:
        """The next message of a type with its envelope."""
        for index, received in enumerate(self._waiting):
            if isinstance(received.message, kind):
                return self._waiting.pop(index)
        async with asyncio.timeout(timeout):
            while True:
                received = await self._heard.get()
                if isinstance(received.message, kind):
                    return received
                self._waiting.append(received)

    async def bus(self, role: Role) -> Bus:
        """A connected bus of a role."""
        return await self._bus(role)

    async def close(self) -> None:
        """Close the buses that were opened."""
        for bus in self._buses.values():
            await bus.__aexit__(None, None, None)

    async def _bus(self, role: Role) -> Bus:
        if role not in self._buses:
            settings = BusSettings(instance=f"test-{role.value}", base=self.base)
            self._buses[role] = await Bus(role, settings, link=self.broker.link).__aenter__()
            await self._buses[role].ready()
        return self._buses[role]

    def _hear(self, packet: Packet) -> None:
        kind = message_type(packet.topic.removeprefix(f"{self.base}/"))
        if kind is not None and packet.payload:
            with contextlib.suppress(BadMessage):
                self._heard.put_nowait(decode(packet, kind))


@asynccontextmanager
async def serving(*workers: Worker, base: str = "mynah") -> AsyncIterator[Stage]:
    """Run workers on an in-memory broker while the block lasts."""
    broker = InMemoryBroker()
    stage = Stage(broker, base)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(stage.close)
        for worker in workers:
            worker.bus.use(broker.link)
            await stack.enter_async_context(worker)
        yield stage


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds take no time: where others wait for a timer, it moves its clock on.

    `may_wait` says whether a thread may wake it; without one, RuntimeError tells when everybody waits for ever.
    """

    def __init__(self, *, may_wait: bool = False) -> None:
        self._clock = _Skipping(may_wait=may_wait)
        super().__init__(self._clock)

    def time(self) -> float:
        """Seconds of its own clock."""
        return self._clock.now


class _Skipping(selectors.DefaultSelector):
    def __init__(self, *, may_wait: bool) -> None:
        super().__init__()
        self._may_wait = may_wait
        self.now = 1_000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        is_endless = timeout is None
        ready = super().select(None if is_endless and self._may_wait else 0)
        if is_endless and not ready and not self._may_wait:
            raise RuntimeError("Everybody waits for somebody else.")
        if not ready:
            self.now += timeout or 0.0
        return ready
