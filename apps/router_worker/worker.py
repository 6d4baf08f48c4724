"""The conversation on the bus: from what was said to what is answered."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Final, Self

from mynah_bus import (
    Bus,
    EngineFailed,
    ModelThread,
    MynahError,
    RequestFailed,
    Worker,
    conversation,
    current,
    handles,
    new_id,
    produces,
)
from mynah_contracts import (
    Answer,
    Ask,
    ChatMessage,
    LlmDelta,
    LlmRequest,
    LlmResponse,
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
from router_worker.answers import Answers, missed, rung
from router_worker.arbitration import Arbitration
from router_worker.conversation import Conversations
from router_worker.intents import Intent, Recogniser
from router_worker.live import Live
from router_worker.sentences import SentenceSplitter
from router_worker.settings import RouterSettings
from router_worker.shopping import ShoppingList
from router_worker.speakable import Reader
from router_worker.store import Store, StoreError
from router_worker.timers import Timers
from router_worker.turn import Limits, Turn

log = logging.getLogger(__name__)

NOT_UNDERSTOOD: Final = "Sorry, I didn't understand that."
ONLY_COMMANDS: Final = "Sorry, I didn't understand that. I know commands only, until a Whisper model is installed."
CLOCK_CHECK_S: Final = 60.0
PUSH_TO_TALK: Final = "push_to_talk"


class Conversation:
    """Holds every turn from its beginning to its end."""

    engine = "hassil"

    def __init__(self, bus: Bus, settings: RouterSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._limits = Limits(filler_s=settings.filler_s, answer_s=settings.answer_s)
        self._conversations = Conversations(time.monotonic)
        self._arbitration = Arbitration()
        self._turns: dict[str, Live] = {}
        self._at: dict[str, Live] = {}
        self._present: set[str] = set()
        self._store = Store(bus.settings.home / "router" / "router.sqlite")
        self._thread = ModelThread("intents")
        self._stack = AsyncExitStack()
        self._timers_changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        stack = self._stack
        await stack.enter_async_context(self._thread)
        try:
            await self._thread(self._open)
        except StoreError as error:
            raise EngineFailed(str(error)) from error
        stack.push_async_callback(self._thread, self._store.__exit__, None, None, None)
        self._tasks = await stack.enter_async_context(asyncio.TaskGroup())
        ringing = self._tasks.create_task(self._ring(), name="timers")
        stack.callback(ringing.cancel)
        stack.callback(self._cancel_all)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    # -- what is heard

    @handles
    async def wake(self, event: WakeEvent) -> None:
        """A satellite woke, heard somebody out, or gave up."""
        live = self._turns.get(current().turn or "")
        match event.type:
            case "wake" if live is None:
                self._wake(event)
            case "heard" if live is not None:
                live.listened()
            case "timeout" | "cancelled" if live is not None:
                live.cancel()
            case "error" if live is not None:
                live.fail(event.cause)

    @handles
    async def transcript(self, transcript: Transcript) -> None:
        """Something was said: in a turn that listens, or published by hand."""
        turn = current().turn
        live = self._turns.get(turn or "")
        if live is None and turn is not None:
            log.info("Ignored what was said in turn %s, which is over.", turn)
            return
        if live is None:
            satellite = transcript.satellite or self._settings.default_satellite
            live = self._begin(satellite, typed=transcript.text, is_played=satellite in self._present)
        elif not live.transcribed(transcript.text):
            return
        if transcript.text:
            self._think(live, transcript.text)
        else:
            live.say(ONLY_COMMANDS if transcript.mode == "grammar" else NOT_UNDERSTOOD, by="router")
            live.complete("router")

    @handles(at_once=100)
    async def ask(self, question: Ask) -> Answer:
        """Answer a question that was asked in writing."""
        live = self._begin("", typed=question.text, is_played=False)
        self._think(live, question.text, user=question.user)
        await live.ended.wait()
        if live.error or not live.turn.answer:
            raise MynahError(live.error or "The turn was cancelled.", code="turn_failed")
        return Answer(
            reply=live.turn.answer,
            turn_id=live.id,
            intent=live.intent,
            ms=live.turn.total_us / 1e3,
            steps=[Step(name=step.name, ms=step.ms) for step in live.turn.steps],
        )

    @handles
    async def playback(self, status: PlaybackStatus) -> None:
        """A loudspeaker has played, paused or stopped."""
        live = self._turns.get(current().turn or "")
        if live is None:
            return
        match status.event:
            case "speaking_end":
                live.played(status.n)
            case "paused" | "stopped":
                live.cut(status.n, status.heard_ms, held=status.event == "paused")
            case "resumed":
                live.resume()

    @handles
    async def control(self, control: PlaybackControl) -> None:
        """Somebody wants silence."""
        if control.action == "stop":
            for satellite, live in tuple(self._at.items()):
                if control.satellite in {"", satellite}:
                    live.cancel()

    @handles
    async def satellite(self, state: SatelliteState) -> None:
        """Know where there is somebody to speak to."""
        if state.state == "off":
            self._present.discard(state.satellite)
        else:
            self._present.add(state.satellite)

    @produces
    async def vocabulary(self) -> AsyncIterator[Vocabulary]:
        """Tell recognisers what can be understood."""
        yield Vocabulary(intents=await self._thread(self._recogniser.vocabulary))

    # -- what follows

    def _wake(self, event: WakeEvent) -> None:
        """A turn begins, unless a louder satellite heard the same; what was spoken there before is over."""
        before = self._at.get(event.satellite)
        if before is not None:
            before.cancel()
        if event.cause == PUSH_TO_TALK:
            self._begin(event.satellite, is_played=True)
        elif self._arbitration.hear(event.satellite, event.energy):
            self._begin(event.satellite, is_played=True)
            self._tasks.create_task(self._arbitrate(), name="arbitration")
        else:
            self._stand_down(event.satellite)

    async def _arbitrate(self) -> None:
        due = self._arbitration.due_in()
        if due is not None:
            await asyncio.sleep(due)
        verdict = self._arbitration.decide()
        for loser in verdict.losers if verdict else ():
            live = self._at.get(loser)
            if live is not None:
                live.cancel()
            self._stand_down(loser)

    def _stand_down(self, satellite: str) -> None:
        self._bus.publish(SatelliteControl(satellite=satellite, action="stand_down"))

    def _begin(self, satellite: str, *, is_played: bool, typed: str | None = None) -> Live:
        context = current()
        turn = Turn(typed=typed, is_played=is_played, limits=self._limits)
        live = Live(
            self._bus,
            turn,
            identifier=context.turn or new_id(),
            session=context.session or satellite or "default",
            satellite=satellite,
            on_end=self._ended,
        )
        self._turns[live.id] = live
        self._tasks.create_task(live.watch(), name="watch")
        if satellite:
            self._at[satellite] = live
            self._tasks.create_task(live.speak(), name="speak")
        return live

    def _ended(self, live: Live) -> None:
        turn = live.turn
        self._turns.pop(live.id, None)
        if self._at.get(live.satellite) is live:
            del self._at[live.satellite]
        if turn.transcript:
            self._conversations.remember(live.session, turn.transcript, turn.heard, turn.answer)

    def _think(self, live: Live, text: str, user: str = "") -> None:
        live.think(self._tasks.create_task(self._answer(live, text, user), name="think"))

    async def _answer(self, live: Live, text: str, user: str) -> None:
        """Answer by an intent at once, else by the language model."""
        with conversation(turn=live.id, session=live.session):
            try:
                intent = await self._thread(self._recogniser.recognise, text)
                if intent is not None:
                    await self._do(live, intent)
                else:
                    await self._ask_model(live, text, user)
            except (RequestFailed, StoreError) as error:
                log.warning("A turn failed: %s", error)
                live.fail(str(error))

    async def _do(self, live: Live, intent: Intent) -> None:
        live.intent = intent.name
        last = self._conversations.last_answer(live.session)
        answer = await self._thread(functools.partial(self._answers.answer, intent, last=last, place=live.satellite))
        self._timers_changed.set()
        live.say(answer, by=intent.name)
        live.complete(intent.name, silently=not answer)

    async def _ask_model(self, live: Live, text: str, user: str) -> None:
        history = [ChatMessage(role=said.role, content=said.text) for said in self._conversations.history(live.session)]
        request = LlmRequest(text=text, history=history, user=user)
        splitter, reader = SentenceSplitter(), Reader()
        streamed = False
        async for part in self._bus.stream(request, timeout=self._settings.answer_s):
            if isinstance(part, LlmDelta):
                streamed = True
                sentences = splitter.feed(part.delta)
            elif isinstance(part, LlmResponse):
                sentences = ([] if streamed else splitter.feed(part.reply)) + splitter.flush()
            else:
                continue
            for sentence in sentences:
                live.say(reader.read(sentence), by="llm")
        if not live.turn.answer:
            live.fail("the language model had nothing to say")
        live.complete("llm")

    # -- timers

    async def _ring(self) -> None:
        """Announce timers when they are due, and first what was due while nobody was here."""
        while_away = await self._thread(self._timers.missed)
        if while_away:
            self._announce(missed(while_away), {timer.place for timer in while_away})
        while True:
            self._timers_changed.clear()
            due = await self._thread(self._timers.next_due)
            try:
                async with asyncio.timeout(CLOCK_CHECK_S if due is None else min(due, CLOCK_CHECK_S)):
                    await self._timers_changed.wait()
            except TimeoutError:
                for timer in await self._thread(self._timers.due):
                    self._announce(rung([timer]), {timer.place})
                try:
                    await self._thread(self._timers.follow_clock)
                except StoreError as error:
                    log.warning("The timers could not follow the clock: %s", error)

    def _announce(self, text: str, places: set[str]) -> None:
        for place in places:
            satellite = place or self._settings.default_satellite
            with conversation(turn=new_id(), session=satellite):
                live = self._begin(satellite, typed="", is_played=satellite in self._present)
            live.say(text, by="timer")
            live.complete("timer")

    # -- lifetime

    def _open(self) -> None:
        """Open the store and read the sentences; half a second, in the thread."""
        self._store.__enter__()
        self._recogniser = Recogniser()
        self._timers = Timers(self._store)
        self._answers = Answers(
            self._timers, ShoppingList(self._store), lambda: datetime.now().astimezone(), self._settings.hours
        )

    def _cancel_all(self) -> None:
        for live in tuple(self._turns.values()):
            live.cancel()


def build() -> Worker:
    """The worker as it runs."""
    bus = Bus(Role.ROUTER)
    return Worker(bus, Conversation(bus, RouterSettings()))
