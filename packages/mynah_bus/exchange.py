"""A request and its answer: finds a live worker, moves on when that one fails, ends at its deadline."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Final, Self

from mynah_bus.context import current, new_id
from mynah_bus.errors import MynahError, NoWorker, RequestFailed, RequestTimeout
from mynah_bus.fleet import Fleet, Member
from mynah_bus.wire import Received
from mynah_contracts import Accepted, Command, Failed, Message

ACCEPT_WITHIN: Final = 0.250
"""Seconds within which a worker says `Accepted`, or has answered."""
PARTS: Final = 1_000
NO_SUBSCRIBER: Final = 0x10
LISTEN_AGAIN: Final = 0.050

Send = Callable[["Exchange", str | None], asyncio.Future[int] | None]


class Exchange:
    """A pending request; entered before it is sent, always taken out of `pending` when left.

    It is sent to the least loaded worker that is up. When that one says `down`, refuses, or does not accept in time,
    the request moves to another at once; the same id makes a second execution harmless. A stream of which parts have
    come does not move: its answer would start anew.
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
    ) -> None:
        self.command = command
        self.id = new_id()
        self.context = current()
        self.expires = max(1, math.ceil(timeout))
        self._timeout = timeout
        self._fleet = fleet
        self._send = send
        self._pending = pending
        self._loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Message] = self._loop.create_future()
        self._parts: asyncio.Queue[Message | None] | None = asyncio.Queue(PARTS) if streaming else None
        self._started = False
        self._member: Member | None = None
        self._tried: set[str] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._refusal: Failed | None = None

    def __enter__(self) -> Self:
        """Register, then send."""
        self._pending[self.id] = self
        self._deadline = self._loop.call_later(self._timeout, self._too_late)
        self._next()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave nothing behind."""
        del self._pending[self.id]
        self._leave_member()
        for timer in (self._deadline, self._patience):
            if timer is not None:
                timer.cancel()
        if not self.answer.done():
            self.answer.cancel()
        elif not self.answer.cancelled():
            self.answer.exception()  # seen: a stream may end before it is looked at

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
        if self.answer.done():
            return
        if isinstance(message, Accepted):
            self._accepted()
        elif isinstance(message, Failed):
            if message.retryable and not self._started:
                self._refusal = message
                self._next()
            else:
                self.fail(RequestFailed(message.message, code=message.code, retryable=message.retryable))
        elif self._parts is not None and type(message) is self.command.contract.parts:
            self._accepted()
            self._started = True
            if self._parts.full():
                self._parts.get_nowait()
            self._parts.put_nowait(message)
        elif type(message) is self.command.contract.reply:
            self.answer.set_result(message)
            self._end_parts()

    def fail(self, error: MynahError) -> None:
        """End with an error, unless it has ended."""
        if not self.answer.done():
            self.answer.set_exception(error)
            self._end_parts()

    def reconnected(self) -> None:
        """The connection is back: what was sent before may be lost, so it is sent again; parts cannot be."""
        if self.answer.done():
            return
        if self._started:
            self.fail(RequestFailed("The connection was lost in the middle of the answer.", code="connection_lost"))
            return
        self._tried.clear()
        self._next()

    def _went_down(self) -> None:
        if self.answer.done():
            return
        if self._started:
            self.fail(RequestFailed("The worker went down in the middle of its answer.", code="worker_lost"))
        else:
            self._next()

    def _not_accepted(self) -> None:
        if not self.answer.done():
            self._next()

    def _too_late(self) -> None:
        refusal = self._refusal
        if refusal is not None:
            self.fail(RequestFailed(refusal.message, code=refusal.code, retryable=True))
        else:
            name = self.command.contract.name
            self.fail(RequestTimeout(f"{name} was not answered within {self._timeout:g} s."))

    # -- finding a worker

    def _next(self) -> None:
        """Send to the least loaded worker that was not tried; start over when all were."""
        self._leave_member()
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        role = self.command.contract.to[0]
        able = self._fleet.ready(role, self.command.contract.name)
        fresh = [member for member in able if member.health.instance not in self._tried]
        if fresh:
            self._assign(fresh[0])
        elif able:
            self._all_tried(len(able))
        elif self._fleet.coming(role):
            self._wait_for_one()
        else:
            self._ask_anyone()

    def _assign(self, member: Member) -> None:
        instance = member.health.instance
        self._tried.add(instance)
        self._member = member
        member.outstanding += 1
        member.on_down.add(self._went_down)
        self._patience = self._loop.call_later(ACCEPT_WITHIN, self._not_accepted)
        self._send(self, instance)

    def _all_tried(self, how_many: int) -> None:
        if self._refusal is not None:
            refusal = self._refusal
            self.fail(RequestFailed(refusal.message, code=refusal.code, retryable=True))
            return
        # Nobody refused, somebody is merely slow to say so: ask again, the same id makes that harmless.
        self._tried.clear()
        self._patience = self._loop.call_later(ACCEPT_WITHIN * how_many, self._not_accepted)

    def _wait_for_one(self) -> None:
        self._patience = self._loop.call_later(LISTEN_AGAIN, self._not_accepted)

    def _ask_anyone(self) -> None:
        """No worker is known to be up: there may still be one that tells no health."""
        if self._refusal is not None:
            refusal = self._refusal
            self.fail(RequestFailed(refusal.message, code=refusal.code, retryable=True))
            return
        word = self._send(self, None)
        if word is not None:
            word.add_done_callback(self._broker_said)

    def _broker_said(self, word: asyncio.Future[int]) -> None:
        if word.cancelled() or self.answer.done():
            if not word.cancelled():
                word.exception()
            return
        error = word.exception()
        if error is not None:
            self.fail(RequestFailed(str(error), code="closed"))
        elif word.result() == NO_SUBSCRIBER:
            self.fail(NoWorker(f"No {self.command.contract.to[0].value} worker is running."))

    def _accepted(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _leave_member(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            member.outstanding -= 1
            member.on_down.discard(self._went_down)

    def _end_parts(self) -> None:
        if self._parts is not None:
            if self._parts.full():
                self._parts.get_nowait()
            self._parts.put_nowait(None)
