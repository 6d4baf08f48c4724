"""From what arrives to handlers that run: bounded, answered once, never in the receive path."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Final, cast

from mynah_bus.bus import Bus
from mynah_bus.context import Context, enter
from mynah_bus.errors import MynahError
from mynah_bus.handlers import Handler
from mynah_bus.inbox import Inbox
from mynah_bus.offload import in_thread
from mynah_bus.wire import Packet, Received
from mynah_contracts import Accepted, Event, Failed, Kind, Message, Stream

log = logging.getLogger(__name__)

ACCEPT_AFTER: Final = 0.100
"""Seconds after which a request that is not answered yet is acknowledged with `Accepted`."""
ANSWERS: Final = 512
ANSWER_BYTES: Final = 65_536


@dataclass(slots=True)
class Desk:
    """Where the messages for one handler are worked on."""

    handler: Handler
    inbox: "Inbox[Job]"
    working: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """One message, from its arrival until it is answered."""

    received: Received
    desk: Desk
    context: Context
    reply_to: str | None
    born: float = field(default_factory=time.monotonic)
    acceptance: asyncio.TimerHandle | None = None
    answers: list[Packet] = field(default_factory=list)

    @property
    def stale(self) -> bool:
        """Whether it waited longer than its sender does."""
        expires = self.received.expires
        return expires is not None and time.monotonic() - self.born > expires


class Dispatcher:
    """Runs handlers as tasks: so many at once as each allows, so many waiting, the rest refused at once.

    Until `begin` everything waits, so that no handler runs before its part is open.
    """

    def __init__(self, bus: Bus, handlers: Iterable[Handler]) -> None:
        self._bus = bus
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: dict[str, Job] = {}
        self._answered: OrderedDict[str, list[Packet]] = OrderedDict()
        self._begun = False
        self._stopping = False
        self.desks: dict[type[Message], list[Desk]] = {}
        for handler in handlers:
            losable = handler.hears.contract.kind in {Kind.STREAM, Kind.STATE} or handler.hears.contract.qos == 0
            desk = Desk(handler, Inbox(handler.limits.waiting, drop_oldest=losable))
            self.desks.setdefault(handler.hears, []).append(desk)
        for hears, desks in self.desks.items():
            bus.route(hears, lambda received, desks=desks: self._arrived(desks, received))  # type: ignore[misc]

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return sum(len(desk.inbox) for desks in self.desks.values() for desk in desks)

    @property
    def in_flight(self) -> int:
        """Messages that are being handled."""
        return sum(desk.working for desks in self.desks.values() for desk in desks)

    @property
    def takes(self) -> dict[str, int]:
        """The commands that are taken here, and how many of each at once."""
        return {
            kind.contract.name: sum(desk.handler.limits.at_once for desk in desks)
            for kind, desks in self.desks.items()
            if desks[0].handler.answers
        }

    def begin(self) -> None:
        """Handle what has come meanwhile, and what comes."""
        self._begun = True
        for desks in self.desks.values():
            for desk in desks:
                while desk.inbox and desk.working < desk.handler.limits.at_once:
                    self._start(desk.inbox.take())

    async def close(self, grace: float) -> None:
        """Refuse what waits and what still comes; give what runs so many seconds, then cancel it."""
        self._stopping = True
        for desks in self.desks.values():
            for desk in desks:
                for job in desk.inbox.drain():
                    self._refuse(job, "shutting_down", "The worker is stopping.")
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)

    def _arrived(self, desks: list[Desk], received: Received) -> None:
        for desk in desks:
            if desk.handler.answers and self._came_before(received):
                continue
            job = self._job(desk, received)
            if self._stopping:
                self._refuse(job, "shutting_down", "The worker is stopping.")
            elif self._begun and desk.working < desk.handler.limits.at_once:
                self._start(job)
            else:
                self._wait(job)

    def _wait(self, job: Job) -> None:
        gone = job.desk.inbox.put(job, job.received.envelope.priority)
        if gone is None:
            return
        if gone is job:
            limits = job.desk.handler.limits
            self._refuse(job, "queue_full", f"{limits.at_once} are at work and {limits.waiting} wait already.")
        else:
            self._bus.count("dropped")
            self._done(gone)

    def _job(self, desk: Desk, received: Received) -> Job:
        envelope = received.envelope
        context = Context(
            turn=envelope.turn,
            session=envelope.session,
            correlation_id=envelope.correlation_id,
            traceparent=envelope.traceparent,
            message_id=envelope.id,
            source=envelope.source,
            priority=envelope.priority,
        )
        job = Job(received, desk, context, received.reply_to if desk.handler.answers else None)
        if job.reply_to is not None:
            if not self._bus.may_reply(job.reply_to):
                log.warning("Ignored the reply topic %s, which is not below reply/", job.reply_to)
                job.reply_to = None
            elif received.directed:
                job.acceptance = asyncio.get_running_loop().call_later(ACCEPT_AFTER, self._accept, job)
        if desk.handler.answers and envelope.id:
            self._open[envelope.id] = job
        return job

    def _came_before(self, received: Received) -> bool:
        """Answer a request that came before the way it was answered; nothing is done twice."""
        identifier = received.envelope.id
        open_job = self._open.get(identifier)
        if open_job is not None:
            self._accept(open_job)
        elif identifier in self._answered:
            for packet in self._answered[identifier]:
                self._bus.send_again(packet)
        else:
            return False
        self._bus.count("duplicates")
        return True

    def _start(self, job: Job) -> None:
        job.desk.working += 1
        task = asyncio.get_running_loop().create_task(self._work(job), name=job.desk.handler.name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job) -> None:
        handler = job.desk.handler
        enter(job.context)
        try:
            if job.stale:
                self._fail(job, "expired", "It waited longer than its sender does.", retryable=True)
            elif handler.yields:
                async for said in handler.call(job.received.message):  # type: ignore[union-attr]
                    self._say(job, said)
            else:
                if handler.threaded:
                    said = cast("Message | None", await in_thread(handler.call, job.received.message))
                else:
                    said = await cast("Awaitable[Message | None]", handler.call(job.received.message))
                if said is not None:
                    self._say(job, said)
            self._bus.count("handled")
        except MynahError as error:
            log.info("%s failed: %s", handler.name, error)
            self._fail(job, error.code, str(error), retryable=error.retryable)
        except asyncio.CancelledError:
            self._fail(job, "cancelled", "It was cancelled.")
            raise
        except Exception:
            log.exception("%s raised", handler.name)
            self._fail(job, "bug", f"{handler.name} went wrong; the worker's log says how.")
        finally:
            self._done(job)
            job.desk.working -= 1
            if job.desk.inbox and job.desk.working < handler.limits.at_once:
                self._start(job.desk.inbox.take())

    def _say(self, job: Job, message: Message) -> None:
        """Send what a handler said: an answer to who asked, and what belongs to a turn to all who follow it too."""
        answers = job.desk.handler.hears.contract.answers if job.desk.handler.answers else ()
        if job.reply_to is None or type(message) not in answers:
            self._bus.publish(message)
            return
        self._answer(job, message)
        contract = message.contract
        if job.context.turn is not None and contract.body is None and isinstance(message, Event | Stream):
            self._bus.publish(message)

    def _answer(self, job: Job, message: Message) -> None:
        assert job.reply_to is not None
        packet = self._bus.reply(
            message,
            job.reply_to,
            correlation_id=job.received.envelope.correlation_id,
            correlation=job.received.correlation,
            context=job.context,
        )
        if len(packet.payload) <= ANSWER_BYTES:
            job.answers.append(packet)

    def _fail(self, job: Job, code: str, why: str, *, retryable: bool = False) -> None:
        self._bus.count("failed")
        failed = Failed(code=code, message=why, retryable=retryable, about=job.desk.handler.hears.contract.name)
        if job.reply_to is not None:
            self._answer(job, failed)
        if not retryable:
            self._bus.publish(failed)

    def _refuse(self, job: Job, code: str, why: str) -> None:
        """Send a request back at once, so that it moves to another worker."""
        self._bus.count("refused")
        self._fail(job, code, why, retryable=True)
        self._open.pop(job.received.envelope.id, None)
        if job.acceptance is not None:
            job.acceptance.cancel()

    def _accept(self, job: Job) -> None:
        if job.reply_to is not None and job.received.directed:
            self._bus.reply(
                Accepted(),
                job.reply_to,
                correlation_id=job.received.envelope.correlation_id,
                correlation=job.received.correlation,
                context=job.context,
            )

    def _done(self, job: Job) -> None:
        if job.acceptance is not None:
            job.acceptance.cancel()
        identifier = job.received.envelope.id
        if self._open.pop(identifier, None) is not None and job.answers:
            self._answered[identifier] = job.answers
            if len(self._answered) > ANSWERS:
                self._answered.popitem(last=False)
