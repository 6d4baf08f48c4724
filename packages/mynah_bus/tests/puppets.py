"""Workers without a mind of their own, whose every word the test chooses."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from mynah_bus import Bus, BusSettings, Context, Received, Worker
from mynah_bus.link import Link
from mynah_bus.memory_link import InMemoryBroker
from mynah_bus.packet import Packet
from mynah_contracts import Accepted, Command, Failed, Health, MemoryResults, Message, Remembered, Role


class Puppet:
    """A worker that hears its commands and says what it is told to say."""

    def __init__(self, bus: Bus, commands: Iterable[type[Command]], heard: AsyncIterator[Received]) -> None:
        self.bus = bus
        self._handles = {command.contract.name: 1 for command in commands}
        self._heard = heard
        self._seq = 0

    async def heard(self, *, timeout: float = 5.0) -> Received:
        """The next command; TimeoutError when none comes."""
        async with asyncio.timeout(timeout):
            return await anext(self._heard)

    def health(self, status: str, *, queued: int = 0) -> None:
        """Tell everybody how it is."""
        self._seq += 1
        self.bus.publish(
            Health(
                service=self.bus.role,
                instance=self.bus.instance,
                status=status,
                seq=self._seq,
                queued=queued,
                handles=self._handles,
            )
        )

    def answer(self, received: Received, message: Message) -> None:
        """Say something to who sent a command."""
        assert received.reply_to is not None
        self.bus.reply(
            message,
            received.reply_to,
            correlation_id=received.envelope.correlation_id,
            correlation=received.correlation,
            context=Context(),
        )

    def accept(self, received: Received) -> None:
        """Say that it is at work."""
        self.answer(received, Accepted())

    def refuse(self, received: Received, code: str = "queue_full") -> None:
        """Say that somebody else may have room."""
        self.answer(received, Failed(code=code, message="Not now.", retryable=True))


@asynccontextmanager
async def puppet(
    broker: InMemoryBroker, instance: str, *commands: type[Command], status: str | None = "up"
) -> AsyncIterator[Puppet]:
    """A worker for these commands, on the bus while the block lasts."""
    role = commands[0].contract.to[0]
    async with joined(broker, role, instance) as bus, bus.listening(*commands) as heard:
        worker = Puppet(bus, commands, heard)
        if status is not None:
            worker.health(status)
        yield worker


@asynccontextmanager
async def joined(broker: InMemoryBroker, role: Role, instance: str = "asker") -> AsyncIterator[Bus]:
    """A bus on the in-memory broker that has heard what is retained."""
    async with Bus(role, BusSettings(instance=instance), link=broker.link) as bus:
        await bus.ready()
        yield bus


@asynccontextmanager
async def at_work(broker: InMemoryBroker, *workers: Worker) -> AsyncIterator[None]:
    """Real workers on the in-memory broker, which may carry what does not fit any contract."""
    async with AsyncExitStack() as stack:
        for worker in workers:
            worker.bus.use(broker.link)
            await stack.enter_async_context(worker)
        yield


async def acknowledged(link: Link, packet: Packet) -> int:
    """Send, now, and wait for the broker's reason code."""
    word: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert link.attempt(packet, word.set_result)
    return await word


def member(instance: str, *parts: object, role: Role = Role.MEMORY) -> Worker:
    """A real worker under a name of the test's choice."""
    return Worker(Bus(role, BusSettings(instance=instance)), *parts)


def found(text: str) -> MemoryResults:
    """An answer that can be told from others."""
    return MemoryResults(results=[Remembered(text=text)])
