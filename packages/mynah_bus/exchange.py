"""A request and its answer: finds a live worker, moves on when that one fails, ends at its deadline."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Final, Self

from mynah_bus.context import current, new_id
from mynah_bus.errors import MynahError, NoWorker, RequestFailed, RequestTimeout, TooLarge
from mynah_bus.fleet import Fleet, Member
from mynah_bus.link import NO_SUBSCRIBER, REFUSED, SUCCESS
from mynah_bus.wire import Received
from mynah_contracts import Accepted, Command, Failed, Health, Message

ACCEPT_WITHIN: Final = 0.250
"""Seconds within which a worker says `Accepted`, or has answered."""
NOBODY_AFTER: Final = 1.0
"""The same for a worker that nobody knows of; then there is none."""
PARTS: Final = 1_000
ANYONE: Final = ""
LEAVING: Final = "shutting_down"
"""Code of a worker that refuses because it is about to go."""

Send = Callable[["Exchange", str | None, Callable[[int], None]], bool]
"""Sends a request to one instance, or to whoever shares its topic; later told the broker's reason code. False: not
connected."""


class Exchange:
    """A pending request; entered before it is sent, always taken out of `pending` when left.

    It is sent to the least loaded worker that is up. When that one says `down`, refuses, or does not accept in time,
    the request moves to another at once; the same id makes a second execution harmless. A stream of which parts have
    come does not move: its answer would start anew, and who has said the first part says the rest.
    """

    def __init__(
        self,
        command: Command,
        *,
        timeout: float,
        fleet: Fleet,
        send: Send,
        streaming: bool,
        pending: "dict[str, Exchange]",
        reply_to: str,
    ) -> None:
        self.command = command
        self.reply_to = reply_to
        self.id = new_id()
        self.correlation_id = new_id()
        """What an answer must know; whoever is told of the request knows its `id`."""
        self.context = current()
        self._contract = command.contract
        self._timeout = timeout
        self._fleet = fleet
        self._send = send
        self._pending = pending
        self._loop = asyncio.get_running_loop()
        self._deadline = self._loop.time() + timeout
        self._timer: asyncio.TimerHandle | None = None
        self._is_last = False
        """Whether the timer is the deadline."""
        self.answer: asyncio.Future[Message] = self._loop.create_future()
        self._parts: asyncio.Queue[Message | None] | None = asyncio.Queue(PARTS) if streaming else None
        self._speaker: str | None = None
        """Who says the parts."""
        self._accepted = False
        self._member: Member | None = None
        self._tried: set[str] = set()
        self._attempt = 0
        self._refusal: Failed | None = None

    def __enter__(self) -> Self:
        """Register, then send."""
        self._pending[self.correlation_id] = self
        self._next()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind."""
        del self._pending[self.correlation_id]
        self._leave()
        if self._timer is not None:
            self._timer.cancel()
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # seen: a stream may end before it is looked at

    @property
    def expires(self) -> int:
        """Seconds, from now, for which somebody waits for the answer."""
        return max(1, math.ceil(self._deadline - self._loop.time()))

    async def parts(self) -> AsyncIterator[Message]:
        """The parts as they come, the reply last."""
        assert self._parts is not None
        while (part := await self._parts.get()) is not None:
            yield part
        yield await self.answer

    # -- what may happen; each of these is called by the loop and waits for nothing

    def answered(self, received: Received) -> None:
        """Something came on the reply topic for us."""
        message = received.message
        source = received.envelope.source
        if self.answer.done():
            return
        if self._parts is None and type(message) is self._contract.reply:
            self.answer.set_result(message)  # whole, it is good from whoever was asked
        elif isinstance(message, Failed):
            if self._is_with(source):
                self._failed(message)
        elif self._is_with(source) or self._goes_back_to(source):
            self._goes_on(message, source)

    def _goes_on(self, message: Message, source: str) -> None:
        """What comes from the worker that has it."""
        if isinstance(message, Accepted):
            self._accept()
        elif self._parts is None:
            return
        elif type(message) is self._contract.reply:
            self.answer.set_result(message)
            self._end_parts()
        elif type(message) is self._contract.parts:
            if not self._accepted:
                self._accept()
            self._speaker = source
            if self._parts.full():
                self._parts.get_nowait()
            self._parts.put_nowait(message)

    def _is_with(self, source: str) -> bool:
        """Whether it is for this worker to answer."""
        if self._speaker is not None:
            return source == self._speaker
        return self._member is None or not source or source == self._member.source

    def _goes_back_to(self, source: str) -> bool:
        """Whether a worker that was asked before gets it again: the present one has not accepted it."""
        if self._accepted:
            return False
        able = self._fleet.ready(self._contract.to[0], self._contract.name)
        member = next((member for member in able if member.source == source), None)
        if member is None:
            return False
        self._leave()
        self._hold(member)
        return True

    def _failed(self, failed: Failed) -> None:
        """Move on when another may do better."""
        member = self._member
        if not failed.retryable or self._speaker is not None:
            self.fail(RequestFailed(failed.message, code=failed.code, retryable=failed.retryable))
            return
        if failed.code == LEAVING and member is not None:
            self._fleet.doubt((member,))
        else:
            self._refusal = failed
        self._next()

    def fail(self, error: MynahError) -> None:
        """End with an error, unless it has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self._end_parts()

    def reconnected(self) -> None:
        """The connection is back: what was sent may be lost, so it is sent again, to the same worker if it is up."""
        if self._speaker is not None:
            self.fail(RequestFailed("The connection was lost in the middle of the answer.", code="connection_lost"))
        elif not self.answer.done():
            self._tried.clear()
            self._next(self._member)

    def _went_down(self) -> None:
        if self._speaker is not None:
            self.fail(RequestFailed("The worker went down in the middle of its answer.", code="worker_lost"))
        elif not self.answer.done():
            self._next()

    def _fleet_changed(self, health: Health) -> None:
        """Somebody who may do it has come up, while nobody was known."""
        if health.service is self._contract.to[0] and self._fleet.ready(health.service, self._contract.name):
            self._next()

    def _awoke(self) -> None:
        """The time is over, or nobody has accepted in time."""
        if self.answer.done():
            return
        if not self._is_last:
            self._next()
        elif self._refusal is not None:
            self._give_up(self._refusal)
        else:
            self.fail(RequestTimeout(f"{self._contract.name} was not answered within {self._timeout:g} s."))

    # -- finding a worker

    def _next(self, preferred: Member | None = None) -> None:
        """Send to the least loaded worker that was not tried; start over when all were."""
        self._leave()
        self._accepted = False
        self._attempt += 1
        role = self._contract.to[0]
        able = self._fleet.ready(role, self._contract.name)
        fresh = [member for member in able if member.health.instance not in self._tried]
        if not fresh and able and self._refusal is None:
            # Nobody refused, somebody is merely slow to say so: ask again, the same id makes that harmless.
            self._tried.clear()
            fresh = able
        if fresh:
            self._assign(preferred if preferred in fresh else fresh[0])
        elif self._refusal is not None:
            self._give_up(self._refusal)
        elif back := self._fleet.back_within(role):
            self._fleet.on_change.add(self._fleet_changed)
            self._wake_in(back)
        else:
            self._ask_anyone()

    def _assign(self, member: Member) -> None:
        instance = member.health.instance
        self._tried.add(instance)
        self._hold(member)
        self._wake_in(ACCEPT_WITHIN)
        self._post(instance)

    def _hold(self, member: Member) -> None:
        """Expect the answer of this one."""
        self._member = member
        member.outstanding += 1
        member.on_down.add(self._went_down)

    def _ask_anyone(self) -> None:
        """No worker is known to be up: there may still be one that tells no health."""
        if ANYONE in self._tried:
            self._nobody()
            return
        self._tried.add(ANYONE)
        self._fleet.on_change.add(self._fleet_changed)
        self._wake_in(NOBODY_AFTER)
        self._post(None)

    def _nobody(self) -> None:
        self.fail(NoWorker(f"No {self._contract.to[0].value} worker is running."))

    def _post(self, instance: str | None) -> None:
        try:
            if not self._send(self, instance, partial(self._broker_said, self._attempt)):
                self._wake_in(self._timeout)  # `reconnected` comes before
        except TooLarge as error:
            self.fail(RequestFailed(str(error), code=error.code))

    def _broker_said(self, attempt: int, code: int) -> None:
        if code == SUCCESS or attempt != self._attempt or self.answer.done():
            return
        if code == NO_SUBSCRIBER and self._member is not None:
            self._fleet.silent(self._member)
        elif code == NO_SUBSCRIBER:
            self._nobody()
        elif code >= REFUSED:
            name = self._contract.name
            self.fail(RequestFailed(f"The broker refuses {name} (reason 0x{code:02x}).", code="not_permitted"))

    def _accept(self) -> None:
        """Somebody works on it: only the deadline is waited for."""
        self._accepted = True
        self._fleet.on_change.discard(self._fleet_changed)
        self._wake_in(self._timeout)

    def _wake_in(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = self._deadline - self._loop.time()
        self._is_last = left <= seconds
        self._timer = self._loop.call_later(min(seconds, left), self._awoke)

    def _give_up(self, refusal: Failed) -> None:
        self.fail(RequestFailed(refusal.message, code=refusal.code, retryable=True))

    def _leave(self) -> None:
        """Expect nothing more of whom it was sent to."""
        self._fleet.on_change.discard(self._fleet_changed)
        member, self._member = self._member, None
        if member is not None:
            member.outstanding -= 1
            member.on_down.discard(self._went_down)

    def _end_parts(self) -> None:
        if self._parts is not None:
            if self._parts.full():
                self._parts.get_nowait()
            self._parts.put_nowait(None)
