"""A turn as it runs: the pure state machine, its clock, and its voice."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from mynah_bus import Bus, RequestFailed, conversation
from mynah_contracts import LlmCancel, Said, SatelliteControl, Say, Step, TurnEvent
from router_worker.intents import Intent
from router_worker.turn import Kind, Sentence, State, Turn

log = logging.getLogger(__name__)

WENT_WRONG: Final = "something went wrong"
TOLD_AFTER: Final = 0.02
"""Seconds after which a phase is told, unless it is the last: an answer goes first, and nobody sees the difference."""
LEAST: Final = 0.001
"""Seconds that a turn's clock waits at least: timers have this resolution, and may be early by a part of it. For less,
uvloop makes no timer."""
HEARD_WITHIN: Final = 0.5
"""Seconds within which a satellite that was told to stop says how much was heard."""


class Live:
    """One turn: whatever happens to it goes through here, and each phase it reaches is told.

    `satellite` is empty where nothing is spoken: a question in writing, or nobody is there. `on_end` is called once,
    when it is over.
    """

    def __init__(
        self,
        bus: Bus,
        turn: Turn,
        *,
        identifier: str,
        session: str,
        satellite: str,
        cause: str,
        on_end: Callable[["Live"], None],
    ) -> None:
        self.turn = turn
        self.id = identifier
        self.session = session
        self.satellite = satellite
        self.cause = cause
        """What began it: a wake word, `push_to_talk`, `speech`, `text` or `timer`."""
        self.intent = ""
        self.error = ""
        self.to_confirm: Intent | None = None
        """What its answer asks leave for."""
        self.ended = asyncio.Event()
        self._bus = bus
        self._on_end = on_end
        self._is_excuse = False
        """Whether it is answered by saying that it cannot be answered."""
        self._alarm: asyncio.TimerHandle | None = None
        self._to_say: asyncio.Queue[Sentence | None] = asyncio.Queue()
        self._thinking: asyncio.Task[None] | None = None
        self._told: State | None = None
        self._news: list[Callable[[], TurnEvent]] = []
        self._telling: asyncio.TimerHandle | None = None
        self.tell()

    # -- what happens to it

    def think(self, task: asyncio.Task[None]) -> None:
        """Know who thinks about it, to stop that when nobody wants the answer any more."""
        self._thinking = task

    def listened(self) -> None:
        """Speech has ended."""
        self.turn.listened()
        self.tell()

    def transcribed(self, text: str) -> bool:
        """What was said is known; False if that comes too late."""
        if self.turn.state is State.LISTENING:
            self.listened()  # that message was lost, or has been overtaken
        fits = self.turn.transcribed(text)
        self.tell()
        return fits

    def say(self, text: str, by: str) -> None:
        """Say the next sentence of the answer."""
        self._put(self.turn.say(text, by) if text else None)
        self.tell()

    def write(self, text: str, by: str) -> None:
        """Go on with an answer in writing; it begins with its first word."""
        if self.turn.answer or text.strip():
            self.turn.write(text if self.turn.answer else text.lstrip(), by)
            self.tell()

    def complete(self, by: str, *, silently: bool = False) -> None:
        """The answer has no more sentences."""
        if self.turn.complete(by, silently=silently):
            self._to_say.put_nowait(None)
        self.tell()

    def excuse(self, text: str, by: str) -> None:
        """Say, for a whole answer, why there is none."""
        self._is_excuse = True
        self.say(text, by)
        self.complete(by)

    def fail(self, reason: str) -> None:
        """It cannot be answered; say so."""
        self._put(self.turn.fail(reason))
        self.tell()

    def cancel(self) -> None:
        """Nobody wants the answer any more: stop thinking and speaking."""
        self.turn.cancel()
        self.tell()

    def played(self, n: int) -> None:
        """Sentence `n`, counted from 0, was heard."""
        self.turn.played(n + 1)
        self.tell()

    def cut(self, n: int, heard_ms: float, *, held: bool) -> None:
        """Sound stopped within sentence `n`, for good or until somebody lets it go on."""
        share = self.turn.share(n + 1, heard_ms / 1e3)
        if held:
            self.turn.interrupt(n + 1, share)
        else:
            self.turn.played(n + 1, share)
        self.tell()

    def resume(self) -> None:
        """Sound goes on where it was held."""
        self.turn.resume()
        self.tell()

    # -- what it does by itself

    async def speak(self) -> None:
        """Have the sentences spoken, one after the other, to the last; then tell the satellite how many there were."""
        spoken = 0
        error = ""
        with conversation(turn=self.id, session=self.session):
            while (sentence := await self._to_say.get()) is not None and self.turn.state is not State.CANCELLED:
                try:
                    await self._have_spoken(sentence)
                except RequestFailed as failure:
                    log.warning("A sentence could not be spoken: %s", failure)
                    self.fail(f"I have no voice: {failure}")
                    error = self.error or str(failure)
                    break
                spoken += 1
            if self.turn.state is not State.CANCELLED:
                self._control("finish", sentences=spoken, reason=error)

    async def hush(self) -> None:
        """End as soon as the satellite has told how much was heard, or does not."""
        self._stop_thinking()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_WITHIN):
                await self.ended.wait()
        self.cancel()

    def tell(self) -> None:
        """Publish the phase that was reached, if it is a new one: soon, and its end at once."""
        self._look_at_clock()
        turn = self.turn
        if turn.state is self._told:
            return
        self._told = turn.state
        self._news.append(self._event())
        if turn.state.is_over:
            self._tell_news()
            self._end()
        elif self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TOLD_AFTER, self._tell_news)

    def _tell_news(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        with conversation(turn=self.id, session=self.session):
            for event in self._news:
                self._bus.publish(event())
        self._news.clear()

    def _look_at_clock(self) -> None:
        """Have `_ring` called when something is due; if that is later than it was, it is seen then."""
        due = self.turn.due_in()
        loop = asyncio.get_running_loop()
        if self._alarm is not None:
            if due is not None and self._alarm.when() <= loop.time() + due:
                return
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm = loop.call_later(max(due, LEAST), self._ring)

    def _ring(self) -> None:
        """Say what is due."""
        self._alarm = None
        try:
            self._put(self.turn.tick())
            self.tell()
        except Exception:  # whatever it is, whoever asked must hear of it
            log.exception("The clock of a turn went wrong")
            self.fail(WENT_WRONG)

    def _event(self) -> Callable[[], TurnEvent]:
        """The news of the phase that was reached, to be made when there is time."""
        turn = self.turn
        ended = turn.ended_step
        steps = turn.steps if turn.state.is_over else ()
        return partial(
            TurnEvent,
            turn_id=self.id,
            satellite=self.satellite,
            phase=turn.state.value,
            step=ended.name if ended else "",
            ms=ended.ms if ended else 0.0,
            total_ms=turn.total_us / 1e3,
            transcript=turn.transcript or "",
            intent=self.intent,
            reply=turn.answer,
            error=self.error,
            steps=[Step(name=step.name, ms=step.ms) for step in steps],
        )

    def _end(self) -> None:
        """Stop what is still done for it; an error is yet to be spoken."""
        self.ended.set()
        if self.turn.state is not State.DONE:
            self._stop_thinking()
            self._to_say.put_nowait(None)
        if self.turn.state is State.CANCELLED and self.satellite:
            with conversation(turn=self.id, session=self.session):
                self._control("stop")
        self._on_end(self)

    def _stop_thinking(self) -> None:
        thinking = self._thinking
        if thinking is not None and not thinking.done() and thinking is not asyncio.current_task():
            thinking.cancel()
            with conversation(turn=self.id, session=self.session):
                self._bus.publish(LlmCancel(turn_id=self.id))

    def _put(self, sentence: Sentence | None) -> None:
        if sentence is None:
            return
        if sentence.kind is Kind.ERROR:
            self.error = sentence.text
        self._to_say.put_nowait(sentence)

    async def _have_spoken(self, sentence: Sentence) -> None:
        purpose = Kind.ERROR if self._is_excuse else sentence.kind
        say = Say(text=sentence.text, satellite=self.satellite, n=sentence.number - 1, purpose=purpose.value)
        said = await self._bus.request(say, Said, timeout=self.turn.limits.say_s)
        self.turn.lasts(sentence.number, said.audio_ms / 1e3)

    def _control(self, action: str, sentences: int = 0, reason: str = "") -> None:
        control = {"satellite": self.satellite, "action": action, "sentences": sentences, "reason": reason}
        self._bus.publish(SatelliteControl.received(control))
