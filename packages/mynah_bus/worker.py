"""A worker: parts that are entered, handlers that run, health that is told."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Final, Literal, Self

from mynah_bus.background import background
from mynah_bus.bus import Bus
from mynah_bus.context import Context
from mynah_bus.dispatch import Dispatcher
from mynah_bus.fleet import MENTIONED
from mynah_bus.handlers import Producer, handlers_of, producers_of
from mynah_bus.packet import Packet
from mynah_bus.wire import encode
from mynah_contracts import Health, Role
from mynah_resilience import StallProbe

log = logging.getLogger(__name__)

HEALTH_EVERY: Final = 10.0
TOLD_FOR: Final = 30
"""Seconds for which the broker tells of a worker that has said nothing since."""
GRACE: Final = 5.0
"""Seconds that running work has to end when the worker stops."""
TOLD_WITHIN: Final = 1.0
"""Seconds for which a worker that cannot begin waits for the broker, to say why."""
STOPPED: Final = "Stopped."
YOUNG: Final = 20_000
"""Objects made since the last look for rubbish, at the next one; 700 are made by a few messages."""
ERA: Final = 1_000_000
"""Health messages of one connection; a last will outranks them all and is outranked by the next connection."""

Status = Literal["starting", "up", "degraded", "down"]


class Worker:
    """One role's process: `Worker(role, *parts)`; parts that are async context managers are entered, in order.

    Parts are objects with methods marked `@handles` or `@produces`; their attributes `engine`, `model` and `breakers`
    (a sequence of CircuitBreaker) are told in the health message. A part that sends of its own accord takes a `Bus`
    when it is made, and the worker is made with that bus instead of a role. TypeError says when a part hears or says
    what is not for the role. Nobody expects a `passing` one back: once it has stopped, the broker knows nothing of it.
    """

    def __init__(self, role: Role | Bus, *parts: object, passing: bool = False) -> None:
        self.bus = role if isinstance(role, Bus) else Bus(role)
        self.parts = parts
        self._passing = passing
        self.handlers = [handler for part in parts for handler in handlers_of(part, self.bus.role)]
        self.producers = [producer for part in parts for producer in producers_of(part, self.bus.role)]
        self.dispatcher = Dispatcher(self.bus, self.handlers)
        self.probe = StallProbe()
        self._status: Status = "starting"
        self._reason = ""
        self._seq = 0
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        self.bus.will = self._last_will
        self.bus.greet = self._greet

    async def run(self) -> None:
        """Live until `stop`, also while still opening, or until something fails that nobody here can mend."""
        living = asyncio.create_task(self._live(), name="life")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        try:
            await asyncio.wait({living, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.stop()  # whoever cancels us asks for it too
            stopping.cancel()
            living.cancel()
            await asyncio.wait({living})
        if not living.cancelled():
            living.result()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopping.set()

    async def _live(self) -> None:
        async with self:
            gc.freeze()  # what is open stays: to look through it again and again would hold up the loop
            gc.set_threshold(YOUNG)  # nearly all that a message leaves goes without being looked for
            await asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        """Connect, open the parts, and say `up` once the broker has confirmed the subscriptions."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.probe)
            await stack.enter_async_context(self.bus)
            if self._passing:
                stack.callback(self._be_forgotten)
            stack.push_async_exit(self._say_why)
            tasks = await stack.enter_async_context(background())
            health = tasks.create_task(self._tell_health(), name="health")
            stack.callback(health.cancel)
            for part in self.parts:
                if isinstance(part, AbstractAsyncContextManager):
                    await stack.enter_async_context(part)
            stack.push(self._say_goodbye)
            stack.push_async_callback(self.dispatcher.finish, GRACE)
            producing = [tasks.create_task(self._produce(each), name=each.name) for each in self.producers]
            stack.push_async_callback(_end, producing)
            stack.callback(self._leave)
            self.dispatcher.begin()
            self.probe.reset()  # what opening the parts took is over
            self.say("up")
            await self.bus.ready()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more work, finish what runs, say `down`, close the parts, say why unless asked to, hang up."""
        await self._stack.__aexit__(kind, error, trace)

    def _leave(self) -> None:
        """Take no more work; who asks for what still runs need not move, everybody else looks elsewhere."""
        self.dispatcher.stop()
        if self.dispatcher.in_flight:
            self.tell()

    def _say_goodbye(self, kind: type[BaseException] | None, *_: object) -> None:
        """Say `down`; where nobody asked for it, why is known when the parts are closed."""
        self.say("down", STOPPED if kind is None or self._stopping.is_set() else "")

    async def _say_why(self, _: object, error: BaseException | None, __: object) -> None:
        """Say what went wrong in a part, a producer, or when they were opened or closed."""
        if not isinstance(error, Exception):
            self.say("down", STOPPED)
            return
        with contextlib.suppress(ConnectionError):
            await self.bus.ready(TOLD_WITHIN)
        self.say("down", str(error) or type(error).__name__)

    def _be_forgotten(self) -> None:
        if self.bus.connected.is_set():
            nothing = self._packet(self._health("down", ""))
            nothing.payload = b""
            self.bus.link.attempt(nothing)

    def say(self, status: Status, reason: str = "") -> None:
        """Change what the health message says."""
        if (status, reason) != (self._status, self._reason):
            self._status, self._reason = status, reason
            self.tell()

    def tell(self) -> None:
        """Publish the health message now; after a reconnect it is told anyway."""
        if self.bus.connected.is_set():
            self._send_health()

    def _greet(self) -> None:
        """Say how we are; if the clock of whoever had our name before was ahead of ours, connect again as younger."""
        before = self.bus.fleet.find(self.bus.role, self.bus.instance)
        if before is not None and before.started_at > self.bus.started_at:
            self.bus.started_at = before.started_at + 1e-3
            raise ConnectionResetError("another worker of this name seems to be younger")
        self._send_health()

    def _send_health(self) -> None:
        self.bus.link.attempt(self._packet(self._health(self._status, self._reason)))

    async def _tell_health(self) -> None:
        while True:
            await asyncio.sleep(HEALTH_EVERY)
            self.tell()

    async def _produce(self, producer: Producer) -> None:
        async for message in producer.call():
            self.bus.publish(message)

    def _last_will(self) -> Packet:
        """What the broker says when we do not; asked for before each connection."""
        era = self.bus.link.connections + 1
        self._seq = era * ERA
        will = self._health("down", "The process is gone, or cut off.")
        return self._packet(will.model_copy(update={"seq": era * ERA + ERA - 1}))

    def _health(self, status: Status, reason: str) -> Health:
        self._seq += 1
        return Health(
            service=self.bus.role,
            instance=self.bus.instance,
            status=status,
            reason=reason,
            pid=os.getpid(),
            host=socket.gethostname(),
            version=_version(),
            engine=self._told("engine"),
            model=self._told("model"),
            started_at=self.bus.started_at,
            seq=self._seq,
            handles=self.dispatcher.takes,
            queued=self.dispatcher.queued,
            in_flight=self.dispatcher.in_flight,
            stall_max_ms=round(self.probe.maximum_ms, 1),
            stall_p99_ms=round(self.probe.p99_ms, 1),
            breakers={each.name: each.state for part in self.parts for each in getattr(part, "breakers", ())},
            counters=dict(self.bus.counters),
        )

    def _told(self, what: str) -> str:
        return next((told for part in self.parts if (told := getattr(part, what, ""))), "")

    def _packet(self, health: Health) -> Packet:
        packet = encode(health, topic=f"{self.bus.base}/{health.topic}", source=self.bus.source, context=Context())
        packet.expires = MENTIONED if health.status == "down" else TOLD_FOR
        return packet


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


@cache
def _version() -> str:
    return version("mynah")
