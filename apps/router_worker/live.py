"""A turn as it runs: the pure state machine, its clock, and its voice."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from mynah_bus import Bus, RequestFailed, conversation
from mynah_contracts import LlmCancel, Said, SatelliteControl, Say, Step, TurnEvent
from router_worker.turn import Kind, Sentence, State, Turn

log = logging.getLogger(__name__)

SAY_WITHIN: Final = 15.0


class Live:
    """One turn: whatever happens to it goes through here, and each phase it reaches is told."""

    def __init__(
        self, bus: Bus, turn: Turn, *, identifier: str, session: str, satellite: str, on_end: Callable[["Live"], None]
    ) -> None:
        self.turn = turn
        self.id = identifier
        self.session = session
        self.satellite = satellite
        self.intent = ""
        self.error = ""
        self.ended = asyncio.Event()
        self._bus = bus
        self._on_end = on_end
        self._changed = asyncio.Event()
        self._to_say: asyncio.Queue[Sentence | None] = asyncio.Queue()
        self._lengths: dict[int, float] = {}
        self._thinking: asyncio.Task[None] | None = None
        self._told: State | None = None
        self._steps_told = 0
        self._voiceless = False
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
            self.listened()  # the satellite's word was lost
        fits = self.turn.transcribed(text)
        self.tell()
        return fits

    def say(self, text: str, by: str) -> None:
        """Say the next sentence of the answer."""
        sentence = self.turn.say(text, by) if text else None
        if sentence is not None:
            self._to_say.put_nowait(sentence)
        self.tell()

    def complete(self, by: str, *, silently: bool = False) -> None:
        """The answer has no more sentences."""
        self.turn.complete(by, silently=silently)
        self._to_say.put_nowait(None)
        self.tell()

    def fail(self, reason: str) -> None:
        """It cannot be answered; say so."""
        sentence = self.turn.fail(reason)
        if sentence is not None:
            self.error = sentence.text
            self._to_say.put_nowait(sentence)
            self._to_say.put_nowait(None)
        self.tell()

    def cancel(self) -> None:
        """Nobody wants the answer any more: stop thinking and speaking."""
        if self.turn.cancel():
            self._to_say.put_nowait(None)
            with conversation(turn=self.id, session=self.session):
                self._bus.publish(LlmCancel(turn_id=self.id))
                self._control("stop")
        self.tell()

    def played(self, n: int) -> None:
        """Sentence `n`, counted from 0, was heard."""
        self.turn.played(n + 1)
        self.tell()

    def cut(self, n: int, heard_ms: float, *, held: bool) -> None:
        """Sound stopped within sentence `n`, for good or until it is known whether somebody meant it."""
        share = min(heard_ms / self._lengths.get(n, float("inf")), 0.99)
        if held:
            self.turn.interrupt(n + 1, share)
        else:
            self.turn.played(n + 1, share)
        self.tell()

    def resume(self) -> None:
        """It was a false alarm: the satellite goes on by itself."""
        self.turn.resume()
        self.tell()

    # -- what it does by itself

    async def watch(self) -> None:
        """Say what is due as time passes, until it is over."""
        while (due := self.turn.due_in()) is not None:
            self._changed.clear()
            try:
                async with asyncio.timeout(due):
                    await self._changed.wait()
            except TimeoutError:
                sentence = self.turn.tick()
                if sentence is not None:
                    if sentence.kind is Kind.ERROR:
                        self.error = sentence.text
                    self._to_say.put_nowait(sentence)
                if self.turn.state is State.FAILED:
                    self._to_say.put_nowait(None)
                self.tell()

    async def speak(self) -> None:
        """Have the sentences spoken, one after the other, to the last."""
        with conversation(turn=self.id, session=self.session):
            while (sentence := await self._to_say.get()) is not None:
                if self.turn.state is not State.CANCELLED and not self._voiceless:
                    await self._have_spoken(sentence)
            self._control("finish", sentences=len(self.turn.sentences))

    def tell(self) -> None:
        """Publish the phase that was reached, if it is a new one."""
        self._changed.set()
        turn = self.turn
        if turn.state is self._told:
            return
        self._told = turn.state
        steps = [Step(name=step.name, ms=step.ms) for step in turn.steps]
        ended = steps[-1] if turn.state.is_over else steps[-2] if len(steps) > 1 else None
        with conversation(turn=self.id, session=self.session):
            self._bus.publish(
                TurnEvent(
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
                    steps=steps if turn.state.is_over else [],
                )
            )
        if turn.state.is_over and not self.ended.is_set():
            self.ended.set()
            if turn.state is not State.DONE and self._thinking is not None:
                self._thinking.cancel()
            self._on_end(self)

    async def _have_spoken(self, sentence: Sentence) -> None:
        n = sentence.number - 1
        try:
            said = await self._bus.request(
                Say(text=sentence.text, satellite=self.satellite, n=n), Said, timeout=SAY_WITHIN
            )
        except RequestFailed as error:
            log.warning("A sentence could not be spoken: %s", error)
            self._voiceless = True
            self.fail(f"I have no voice: {error}")
        else:
            self._lengths[n] = said.audio_ms

    def _control(self, action: str, sentences: int = 0) -> None:
        control = SatelliteControl.received(
            {"satellite": self.satellite, "action": action, "sentences": sentences, "reason": self.error}
        )
        self._bus.publish(control)
