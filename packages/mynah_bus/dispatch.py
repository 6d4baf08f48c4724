"""From what arrives to handlers that run: bounded, answered once, never in the receive path."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, cast

from mynah_bus.answers import Answers, Request
from mynah_bus.bus import Bus
from mynah_bus.context import Context, enter
from mynah_bus.errors import BadMessage, MynahError
from mynah_bus.exchange import LEAVING
from mynah_bus.handlers import Handler
from mynah_bus.inbox import Inbox, StreamInbox
from mynah_bus.offload import in_thread
from mynah_bus.packet import Packet
from mynah_bus.wire import Received
from mynah_contracts import Accepted, Event, Failed, Kind, Message, Stream

log = logging.getLogger(__name__)

ACCEPT_AFTER: Final = 0.100
"""Seconds after which a request that is not answered yet is acknowledged with `Accepted`."""


@dataclass(slots=True)
class Desk:
    """Where the messages for one handler are worked on."""

    handler: Handler
    inbox: "Inbox[Job]"
    working: int = 0
    answers: tuple[type[Message], ...] = ()
    """What belongs to the answer of a command."""

    @property
    def is_free(self) -> bool:
        """Whether one more message can be worked on."""
        return self.working < self.handler.limits.at_once


@dataclass(slots=True, eq=False)
class Job:
    """One message, from its arrival until it is answered."""

    received: Received
    desk: Desk
    context: Context
    reply_to: str | None
    born: float
    task: asyncio.Task[None] | None = None
    answers: list[Packet] = field(default_factory=list)
    is_answered: bool = False
    """Whether the last word to its sender was said."""
    is_over: bool = False

    def is_stale(self, now: float) -> bool:
        """Whether it waited longer than its sender does."""
        expires = self.received.expires
        return expires is not None and now - self.born > expires


class Dispatcher:
    """Runs handlers as tasks: so many at once as each allows, so many waiting, the rest refused at once.

    Until `begin` everything waits, so that no handler runs before its part is open.
    """

    def __init__(self, bus: Bus, handlers: Iterable[Handler]) -> None:
        self._bus = bus
        self._working: set[Job] = set()
        self._open: dict[Request, Job] = {}
        self._answers = Answers()
        self._to_accept: deque[Job] = deque()
        self._accepting: asyncio.TimerHandle | None = None
        self._begun = False
        self._stopping = False
        self.desks: dict[type[Message], list[Desk]] = {}
        for handler in handlers:
            contract = handler.hears.contract
            losable = contract.kind in {Kind.STREAM, Kind.STATE} or contract.qos == 0
            inbox: Inbox[Job] = (StreamInbox if losable else Inbox)(handler.limits.waiting)
            desk = Desk(handler, inbox, answers=contract.answers if handler.answers else ())
            desks = self.desks.setdefault(handler.hears, [])
            if desks and handler.answers:
                raise TypeError(f"{handler.name} and {desks[0].handler.name} both answer {contract.name}")
            desks.append(desk)
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
            desk.handler.hears.contract.name: desk.handler.limits.at_once
            for desks in self.desks.values()
            for desk in desks
            if desk.handler.answers and not self._stopping
        }

    def begin(self) -> None:
        """Handle what has come meanwhile, and what comes."""
        self._begun = True
        for desks in self.desks.values():
            for desk in desks:
                self._go_on(desk)

    def stop(self) -> None:
        """Refuse what waits and what still comes, so that it moves to another worker."""
        self._stopping = True
        for desks in self.desks.values():
            for desk in desks:
                for job in desk.inbox.drain():
                    self._leave(job)

    async def finish(self, grace: float) -> None:
        """Give what runs so many seconds, then cancel it; what does not even end then is left behind."""
        tasks = {job.task for job in self._working if job.task is not None}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)
        if self._accepting is not None:
            self._accepting.cancel()

    # -- from arrival to work

    def _arrived(self, desks: list[Desk], received: Received) -> None:
        for desk in desks:
            if desk.handler.answers and self._came_before(received):
                continue
            job = self._job(desk, received)
            if job is None:
                continue
            if self._stopping:
                self._leave(job)
            elif self._begun and desk.is_free:
                self._start(job)
            else:
                self._wait(job)

    def _job(self, desk: Desk, received: Received) -> Job | None:
        """The work that a message makes; None when its answer would go where our rights are nobody's tool."""
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
        now = asyncio.get_running_loop().time()
        if not desk.handler.answers:
            return Job(received, desk, context, None, now)
        job = Job(received, desk, context, received.reply_to, now)
        if job.reply_to is not None and not self._bus.may_reply(job.reply_to):
            job.reply_to = None
            self._fail(job, BadMessage.code, "Its reply topic does not lie below reply/.")
            return None
        if envelope.id:
            self._open[_request(received)] = job
        if job.reply_to is not None and envelope.source:
            self._to_accept.append(job)
            if self._accepting is None:
                self._accepting = asyncio.get_running_loop().call_later(ACCEPT_AFTER, self._accept_waiting)
        return job

    def _came_before(self, received: Received) -> bool:
        """Answer a request that came before the way it was answered; nothing is done twice."""
        request = _request(received)
        open_job = self._open.get(request)
        packets = self._answers.get(request)
        if open_job is not None:
            self._accept(open_job)
        elif packets is None:
            return False
        elif packets:
            for packet in packets:
                self._bus.send_again(packet)
        else:
            self._tell_lost(received)
        self._bus.count("duplicates")
        return True

    def _tell_lost(self, received: Received) -> None:
        """Say to who asks again that it was done, and that how it was answered is not kept."""
        if received.reply_to is not None and self._bus.may_reply(received.reply_to):
            self._bus.reply(
                Failed(code="answer_lost", message="It was done; its answer was too long to be kept, or is too old."),
                received.reply_to,
                correlation_id=received.envelope.correlation_id,
                correlation=received.correlation,
                context=Context(turn=received.envelope.turn, session=received.envelope.session),
            )

    def _wait(self, job: Job) -> None:
        gone = job.desk.inbox.put(job, job.received.envelope.priority)
        if gone is None:
            return
        if gone is job:
            limits = job.desk.handler.limits
            self._refuse(job, "queue_full", f"{limits.at_once} are at work and {limits.waiting} wait already.")
        else:
            self._bus.count("dropped")
            self._fail(gone, "superseded", "Newer ones took its place.", is_reported=False)
            self._close(gone)

    def _start(self, job: Job) -> None:
        job.desk.working += 1
        job.task = asyncio.get_running_loop().create_task(self._work(job))
        self._working.add(job)

    def _go_on(self, desk: Desk) -> None:
        while desk.inbox and desk.is_free:
            self._start(desk.inbox.take())

    # -- work

    async def _work(self, job: Job) -> None:
        handler = job.desk.handler
        enter(job.context)
        try:
            if job.is_stale(asyncio.get_running_loop().time()):
                why = "It waited longer than its sender does."
                self._fail(job, "expired", why, retryable=True, is_reported=handler.answers)
            else:
                await self._handle(handler, job)
                self._bus.count("handled")
        except MynahError as error:
            log.info("%s failed: %s", handler.name, error)
            self._fail(job, error.code, str(error), retryable=error.retryable)
        except asyncio.CancelledError:
            if self._stopping:
                self._leave(job)
            else:
                self._fail(job, "cancelled", "It was cancelled.", is_reported=False)
            raise
        except Exception:  # the loop of the workers: a handler's bug costs its message, and nothing else
            log.exception("%s raised", handler.name)
            self._fail(job, "bug", f"{handler.name} went wrong; the worker's log says how.")
        finally:
            self._close(job)
            self._working.discard(job)
            job.desk.working -= 1
            self._go_on(job.desk)

    async def _handle(self, handler: Handler, job: Job) -> None:
        message = job.received.message
        if handler.yields:
            async with aclosing(cast("AsyncGenerator[Message]", handler.call(message))) as saying:
                async for part in saying:
                    self._say(job, part)
        else:
            if handler.threaded:
                said = cast("Message | None", await in_thread(handler.call, message))
            else:
                said = await cast("Awaitable[Message | None]", handler.call(message))
            if said is not None:
                self._say(job, said)
        if job.reply_to is not None and not job.is_answered:
            self._fail(job, "no_answer", f"{handler.name} had no answer.", is_reported=False)

    def _say(self, job: Job, message: Message) -> None:
        """Send what a handler said: an answer to who asked, and what belongs to a turn to all who follow it too.

        News goes first when it is in the first place for somebody else: what was heard is for the router to answer.
        """
        answers = job.desk.answers
        if job.reply_to is None or type(message) not in answers:
            self._bus.publish(message)
            return
        contract = message.contract
        is_news = job.context.turn is not None and contract.body is None and isinstance(message, Event | Stream)
        is_urgent = is_news and job.context.source.partition("/")[0] != contract.to[0]
        if is_urgent:
            self._bus.publish(message)
        self._answer(job, message, is_last=type(message) is answers[-1])
        if is_news and not is_urgent:
            self._bus.publish(message)

    # -- answers

    def _answer(self, job: Job, message: Message, *, is_last: bool) -> None:
        assert job.reply_to is not None
        packet = self._bus.reply(
            message,
            job.reply_to,
            correlation_id=job.received.envelope.correlation_id,
            correlation=job.received.correlation,
            context=job.context,
        )
        job.is_answered = is_last
        if job.received.envelope.id:
            job.answers.append(packet)

    def _fail(self, job: Job, code: str, why: str, *, retryable: bool = False, is_reported: bool = True) -> None:
        """Say why it was not done: to who asked, and to all when nobody will try again."""
        self._bus.count("failed")
        failed = Failed(code=code, message=why, retryable=retryable, about=job.desk.handler.hears.contract.name)
        if job.reply_to is not None and not job.is_answered:
            self._answer(job, failed, is_last=True)
        if is_reported and (job.reply_to is None or not retryable):
            self._bus.report(failed, job.context)

    def _leave(self, job: Job) -> None:
        """Refuse what others are there for; what merely happened is no longer for us to hear."""
        self._refuse(job, LEAVING, "The worker is stopping.", is_reported=job.desk.handler.answers)

    def _refuse(self, job: Job, code: str, why: str, *, is_reported: bool = True) -> None:
        """Send a request back at once, so that it moves to another worker; it may come again."""
        self._bus.count("refused")
        self._fail(job, code, why, retryable=True, is_reported=is_reported)
        job.is_over = True
        self._open.pop(_request(job.received), None)

    def _accept(self, job: Job) -> None:
        """Tell a member of the fleet that its request is worked on; a tool has no source, and expects one reply."""
        if job.reply_to is not None and job.received.envelope.source:
            self._bus.reply(
                Accepted(),
                job.reply_to,
                correlation_id=job.received.envelope.correlation_id,
                correlation=job.received.correlation,
                context=job.context,
            )

    def _accept_waiting(self) -> None:
        """Acknowledge what is not answered yet; what came later is looked at when its time has come."""
        self._accepting = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._to_accept:
            job = self._to_accept[0]
            if not job.is_over and job.born + ACCEPT_AFTER > now:
                self._accepting = loop.call_at(job.born + ACCEPT_AFTER, self._accept_waiting)
                return
            self._to_accept.popleft()
            if not job.is_over:
                self._accept(job)

    def _close(self, job: Job) -> None:
        job.is_over = True
        request = _request(job.received)
        if self._open.pop(request, None) is not None:
            self._answers.keep(request, job.answers)


def _request(received: Received) -> Request:
    return Request(received.reply_to, received.envelope.id)
