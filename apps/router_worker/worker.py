"""The conversation on the bus: from what was said to what is answered."""

import asyncio
import logging
import re
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from typing import Final, Self

from mynah_bus import (
    Bus,
    EngineFailed,
    ModelThread,
    MynahError,
    Worker,
    conversation,
    current,
    handles,
    new_id,
)
from mynah_bus.background import background
from mynah_contracts import (
    Answer,
    Ask,
    Health,
    MemoryStore,
    PlaybackControl,
    PlaybackStatus,
    Role,
    SatelliteControl,
    SatelliteState,
    Step,
    Transcript,
    Vocabulary,
    WakeEvent,
)
from router_worker.alone import Alone
from router_worker.answers import Answers
from router_worker.arbitration import Arbitration
from router_worker.bell import Bell
from router_worker.conversation import Conversations
from router_worker.intents import Recogniser
from router_worker.live import WENT_WRONG, Live
from router_worker.presence import Presence
from router_worker.settings import RouterSettings
from router_worker.shopping import ShoppingList
from router_worker.store import Store, StoreError
from router_worker.tasks import Tasks
from router_worker.thinking import Mind
from router_worker.timers import Clocks, Timers
from router_worker.turn import Limits, State, Turn
from router_worker.turns import Turns

log = logging.getLogger(__name__)

NOT_UNDERSTOOD: Final = "Sorry, I didn't understand that."
ONLY_COMMANDS: Final = "Sorry, I didn't understand that. I know commands only, until a Whisper model is installed."
SATELLITE_GONE: Final = "the satellite is gone"
ANNOUNCED_WITHIN: Final = 600.0
"""Seconds for which an announcement may wait for what is being said before it."""
LONGEST_MEMORY: Final = 20_000
"""Characters of a text that the memory takes."""
PUSH_TO_TALK: Final = "push_to_talk"
SPEECH: Final = "speech"
"""A satellite without a wake word heard a voice: it may be a television's."""
TIMER: Final = "timer"
NAME: Final = re.compile(r"[a-z0-9_-]{1,64}")


class Conversation:
    """Holds every turn from its beginning to its end."""

    engine = "hassil"

    def __init__(
        self,
        bus: Bus,
        settings: RouterSettings,
        *,
        recogniser: Callable[[], Recogniser] = Recogniser,
        clocks: Clocks | None = None,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._make_recogniser = recogniser
        self._clocks = clocks
        self._limits = Limits(filler_s=settings.filler_s, answer_s=settings.answer_s)
        self._arbitration = Arbitration()
        self._turns = Turns()
        self._store = Store(bus.settings.home / "router" / "router.sqlite")
        self._thread = ModelThread("intents")
        self._tasks = Tasks()
        self._announcements = Tasks()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(Alone(self._bus))
            await stack.enter_async_context(self._thread)
            try:
                await self._thread(self._open)
            except StoreError as error:
                raise EngineFailed(str(error)) from error
            stack.push_async_callback(self._thread, self._store.__exit__, None, None, None)
            # Recognisers know what can be understood before anybody thinks that they may speak.
            self._bus.publish(Vocabulary(intents=await self._thread(self._recogniser.vocabulary)))
            self._bus.fleet.on_change.add(self._fleet_changed)
            stack.callback(self._bus.fleet.on_change.discard, self._fleet_changed)
            await stack.enter_async_context(self._tasks)
            bells = await stack.enter_async_context(background())
            ringing = bells.create_task(self._bell.ring(), name="timers")
            telling = bells.create_task(self._bell.tell_missed(), name="missed timers")
            stack.callback(ringing.cancel)
            stack.callback(telling.cancel)
            stack.callback(self._cancel_all)
            # What is cancelled because we leave was not told: who waits for that goes first.
            await stack.enter_async_context(self._announcements)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    # -- what is heard

    @handles
    async def wake(self, event: WakeEvent) -> None:
        """A satellite woke, heard somebody out, or gave up."""
        if event.type == "wake":
            if not self._turns.knows(current().turn):
                self._wake(event)
            return
        live = self._turn_at(event.satellite)
        if live is None:
            return
        match event.type:
            case "heard":
                live.listened()
            case "timeout" | "cancelled":
                live.cancel()
            case "error":
                live.fail(event.cause)

    @handles
    async def transcript(self, transcript: Transcript) -> None:
        """Something was said: in a turn that listens, or published by hand."""
        turn = current().turn
        if self._turns.is_over(turn):
            return
        live = self._turns.find(turn)
        if live is None:
            live = self._overheard(transcript)
        elif transcript.satellite not in {"", live.satellite} or not live.transcribed(transcript.text):
            return
        if transcript.text.strip():
            self._think(live, transcript.text)
        elif live.cause == SPEECH:
            live.cancel()
        else:
            live.excuse(ONLY_COMMANDS if transcript.mode == "grammar" else NOT_UNDERSTOOD, by="router")

    @handles(at_once=100)
    async def ask(self, question: Ask) -> Answer:
        """Answer a question that was asked in writing."""
        live = self._begin("", cause="text", typed=question.text, is_played=False)
        self._have_remembered(live, question.text, "user", question.user)
        self._think(live, question.text, user=question.user)
        await live.ended.wait()
        if live.turn.state is not State.DONE:
            raise MynahError(live.error or "The turn was cancelled.", code="turn_failed")
        reply = live.turn.answer.rstrip()
        self._have_remembered(live, reply, "assistant", question.user)
        return Answer(
            reply=reply,
            turn_id=live.id,
            intent=live.intent,
            ms=live.turn.total_us / 1e3,
            steps=[Step(name=step.name, ms=step.ms) for step in live.turn.steps],
        )

    @handles
    async def playback(self, status: PlaybackStatus) -> None:
        """A loudspeaker has played, paused or stopped."""
        live = self._turn_at(status.satellite)
        if live is None:
            return
        match status.event:
            case "speaking_end":
                live.played(status.n)
            case "paused":
                live.cut(status.n, status.heard_ms, held=True)
            case "stopped":
                live.cut(status.n, status.heard_ms, held=False)
                live.cancel()
            case "resumed":
                live.resume()

    @handles
    async def control(self, control: PlaybackControl) -> None:
        """Somebody wants silence."""
        if control.action != "stop":
            return
        for live in self._turns:
            if live.satellite and control.satellite in {"", live.satellite}:
                if live.turn.state is State.SPEAKING:
                    self._tasks.start(live.hush(), "hush", failed=live.cancel)
                else:
                    live.cancel()

    @handles
    async def satellite(self, state: SatelliteState) -> None:
        """Know where there is somebody to speak to."""
        self._presence.note(state, current().source)

    # -- what follows

    def _wake(self, event: WakeEvent) -> None:
        """A turn begins, unless a louder satellite heard the same; what was asked there before is over."""
        for before in self._turns.at(event.satellite):
            if before.cause != TIMER:
                before.cancel()
        cause = event.cause or "wake"
        if cause == PUSH_TO_TALK:
            self._begin(event.satellite, cause=cause, is_played=True)
        elif self._arbitration.hear(event.satellite, event.energy):
            self._begin(event.satellite, cause=cause, is_played=True)
            self._tasks.start(self._arbitrate(), "arbitration")
        else:
            self._turns.close(current().turn or "")
            self._stand_down(event.satellite)

    async def _arbitrate(self) -> None:
        # The loop's timers may be a little early. Nothing but time passes here.
        while due := self._arbitration.due_in():  # noqa: ASYNC110
            await asyncio.sleep(due)
        verdict = self._arbitration.decide()
        for loser in verdict.losers if verdict else ():
            for live in self._turns.at(loser):
                if live.cause not in {TIMER, PUSH_TO_TALK}:
                    live.cancel()
                    with conversation(turn=live.id, session=live.session):
                        self._stand_down(loser)

    def _stand_down(self, satellite: str) -> None:
        self._bus.publish(SatelliteControl(satellite=satellite, action="stand_down"))

    def _overheard(self, transcript: Transcript) -> Live:
        """A turn for what was said in none that is known: by hand, or before the router was started again."""
        named = NAME.fullmatch(transcript.satellite)
        satellite = transcript.satellite if named else self._settings.default_satellite
        is_played = current().turn is not None or self._presence.is_up(satellite)
        return self._begin(satellite, cause="text", typed=transcript.text, is_played=is_played)

    def _begin(
        self,
        satellite: str,
        *,
        cause: str,
        is_played: bool,
        typed: str | None = None,
        limits: Limits | None = None,
    ) -> Live:
        context = current()
        identifier = context.turn if context.turn and not self._turns.knows(context.turn) else new_id()
        live = Live(
            self._bus,
            Turn(typed=typed, is_played=is_played, limits=limits or self._limits),
            identifier=identifier,
            session=context.session or satellite or context.source or identifier,
            satellite=satellite,
            cause=cause,
            on_end=self._ended,
        )
        self._turns.add(live)
        if satellite:
            self._tasks.start(live.speak(), "speak", failed=lambda: live.fail(WENT_WRONG))
        return live

    def _have_remembered(self, live: Live, text: str, speaker: str, user: str) -> None:
        """Tell the memory what is written, as it hears what is spoken."""
        if text:
            with conversation(turn=live.id, session=live.session):
                self._bus.publish(MemoryStore(text=text[:LONGEST_MEMORY], user=user, speaker=speaker))

    def _ended(self, live: Live) -> None:
        self._turns.close(live.id)
        self._mind.remember(live)

    def _think(self, live: Live, text: str, user: str = "") -> None:
        answering = self._mind.answer(live, text, user)
        live.think(self._tasks.start(answering, "think", failed=lambda: live.fail(WENT_WRONG)))

    def _turn_at(self, satellite: str) -> Live | None:
        """The turn of the message that is handled, if it runs at the satellite that the message is from."""
        live = self._turns.find(current().turn)
        return live if live is not None and live.satellite == satellite else None

    # -- satellites

    def _fleet_changed(self, health: Health) -> None:
        """What was asked at a satellite that is gone ends with it."""
        if health.service is Role.SATELLITE and health.status == "down":
            for live in self._turns:
                if self._presence.is_of(live.satellite, health):
                    live.fail(SATELLITE_GONE)
        self._presence.look()

    # -- timers

    async def _announce(self, text: str, place: str) -> bool:
        """Say it to its end, or until somebody stops it; False if it failed, or nobody was there to hear it."""
        satellite = self._presence.best(place, self._settings.default_satellite)
        with conversation(turn=new_id(), session=satellite or None):
            live = self._begin(
                satellite,
                cause=TIMER,
                typed="",
                is_played=bool(satellite),
                limits=replace(self._limits, silence_s=ANNOUNCED_WITHIN),
            )
        live.say(text, by=TIMER)
        live.complete(TIMER)
        await live.ended.wait()
        return bool(satellite) and live.turn.state is not State.FAILED

    # -- lifetime

    def _open(self) -> None:
        """Open the store and read the sentences; half a second, in the thread."""
        self._store.__enter__()
        self._recogniser = self._make_recogniser()
        timers = Timers(self._store, self._clocks)
        shopping = ShoppingList(self._store)
        answers = Answers(timers, shopping, lambda: datetime.now().astimezone(), self._settings.hours)
        self._mind = Mind(self._bus, self._thread, self._recogniser, answers, Conversations(time.monotonic))
        self._bell = Bell(timers, self._thread, self._mind.done, self._announce, self._announcements)
        self._presence = Presence(self._bus, self._bell.somebody_came)

    def _cancel_all(self) -> None:
        for live in self._turns:
            live.cancel()


def build() -> Worker:
    """The worker as it runs."""
    bus = Bus(Role.ROUTER)
    return Worker(bus, Conversation(bus, RouterSettings()))
