"""What the router's tests share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from hassil import (
    Alternative,
    Expression,
    Group,
    IntentData,
    Intents,
    ListReference,
    Permutation,
    RangeSlotList,
    RuleReference,
    SlotList,
    TextChunk,
    WildcardSlotList,
)

from mynah_bus import Bus, BusSettings, EngineFailed, Worker, conversation, handles, produces
from mynah_bus.testing import Stage, serving
from mynah_bus.wire import decode, message_type
from mynah_contracts import (
    Answer,
    Ask,
    LlmCancel,
    LlmDelta,
    LlmRequest,
    LlmResponse,
    PlaybackControl,
    PlaybackStatus,
    Role,
    Said,
    SatelliteControl,
    SatelliteState,
    Say,
    Speech,
    Transcript,
    TurnEvent,
    WakeEvent,
)
from router_worker.intents import Device, Home, Recogniser
from router_worker.settings import RouterSettings
from router_worker.store import Store
from router_worker.timers import Clocks
from router_worker.worker import Conversation

OVER = {"done", "cancelled", "failed"}


@pytest.fixture(scope="session")
def recogniser() -> Recogniser:
    """Understands the usual home, and the few names of the recordings that are not usual."""
    return Recogniser(Home(devices=(*Home().devices, Device("EcoBee", "climate"))))


@pytest.fixture(scope="session")
def said() -> Callable[[Expression, Intents, IntentData, Random], str]:
    """Says one of the texts that an expression of a block stands for."""
    return _said


def _said(expression: Expression, intents: Intents, block: IntentData, chance: Random) -> str:
    match expression:
        case TextChunk():
            return expression.original_text
        case Alternative():
            parts = [chance.choice(expression.items)]
        case Permutation():
            parts = chance.sample(expression.items, len(expression.items))
        case Group():
            parts = expression.items
        case RuleReference():
            parts = [intents.expansion_rules[expression.rule_name].expression]
        case ListReference():
            parts = [chance.choice(_choices(intents.slot_lists[expression.list_name], block))]
    gap = " " if isinstance(expression, Permutation) else ""
    return gap.join(_said(part, intents, block, chance) for part in parts)


def _choices(values: SlotList, block: IntentData) -> list[Expression]:
    if isinstance(values, RangeSlotList):
        return [TextChunk(str(number)) for number in values.get_numbers()]
    if isinstance(values, WildcardSlotList):
        return [TextChunk("tea"), TextChunk("green tea and a cake")]
    domains = block.requires_context.get("domain", ())
    fitting = [
        value.text_in
        for value in values.values
        if not value.context or not domains or value.context["domain"] in domains
    ]
    return fitting or [TextChunk("lamp")]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of its own."""
    with Store(tmp_path / "router.db") as store:
        yield store


class Voice:
    """Speaks every sentence as a second of silence, once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.audio_ms = 1_000.0

    @handles(at_once=8)
    async def say(self, say: Say) -> AsyncIterator[Speech | Said]:
        await self.gate.wait()
        yield Speech(audio=bytes(64), satellite=say.satellite, n=say.n, last=True)
        yield Said(n=say.n, pieces=1, audio_ms=self.audio_ms)


@dataclass
class Model:
    """Answers everything with the same deltas, but for those that are lost; waits before some of them, or the end."""

    deltas: tuple[str, ...] = ("This is ", "an answer.")
    pause_before: dict[int, asyncio.Event] = field(default_factory=dict)
    failure: str = ""
    lost: frozenset[int] = frozenset()
    marks_last: bool = False
    requests: list[LlmRequest] = field(default_factory=list)

    @handles(at_once=32)
    async def answer(self, request: LlmRequest) -> AsyncIterator[LlmDelta | LlmResponse]:
        self.requests.append(request)
        for seq, delta in enumerate(self.deltas):
            if seq in self.pause_before:
                await self.pause_before[seq].wait()
            if seq not in self.lost:
                yield LlmDelta(delta=delta, seq=seq, last=self.marks_last and seq == len(self.deltas) - 1)
        if len(self.deltas) in self.pause_before:
            await self.pause_before[len(self.deltas)].wait()
        if self.failure:
            raise EngineFailed(self.failure)
        yield LlmResponse(reply="".join(self.deltas))

    @handles
    async def cancel(self, cancel: LlmCancel) -> None:
        """Heard on the stage."""


class Room:
    """A satellite that plays each sentence in no time and says so, unless it is `deaf`."""

    def __init__(self, name: str, *, deaf: bool = False) -> None:
        self._name = name
        self.deaf = deaf

    @produces
    async def presence(self) -> AsyncIterator[SatelliteState]:
        yield SatelliteState(satellite=self._name, state="idle")

    @handles(waiting=1_000)
    async def play(self, speech: Speech) -> PlaybackStatus | None:
        if self.deaf:
            return None
        return PlaybackStatus(event="speaking_end", satellite=speech.satellite, n=speech.n)


@dataclass
class House:
    """A router and its neighbours, and what people do there."""

    stage: Stage
    voice: Voice
    model: Model

    async def wake(
        self, turn: str, satellite: str = "kitchen", *, cause: str = "push_to_talk", energy: float = -20.0
    ) -> None:
        await self.tell(turn, WakeEvent(type="wake", satellite=satellite, cause=cause, energy=energy))

    async def hear(self, turn: str, text: str, satellite: str = "kitchen", *, mode: str = "dictation") -> None:
        await self.tell(turn, WakeEvent(type="heard", satellite=satellite))
        await self.transcribe(turn, text, satellite, mode=mode)

    async def transcribe(self, turn: str, text: str, satellite: str = "kitchen", *, mode: str = "dictation") -> None:
        await self.tell(turn, Transcript.received({"text": text, "satellite": satellite, "mode": mode}))

    async def ask(self, turn: str, text: str, satellite: str = "kitchen") -> TurnEvent:
        """Ask aloud, and wait for the end of the turn."""
        await self.wake(turn, satellite)
        await self.hear(turn, text, satellite)
        return await self.ended(turn)

    async def write(self, text: str, *, session: str | None = None, turn: str | None = None) -> Answer:
        """Ask in writing."""
        with conversation(session=session, turn=turn):
            answer = await self.stage.ask(Ask(text=text), role=Role.GUEST, timeout=20)
        assert isinstance(answer, Answer)
        return answer

    async def tell(self, turn: str, message: WakeEvent | Transcript | PlaybackStatus | PlaybackControl) -> None:
        with conversation(turn=turn, session=getattr(message, "satellite", "")):
            await self.stage.send(message)

    async def ended(self, turn: str) -> TurnEvent:
        return await self.reached(turn, *OVER)

    async def reached(self, turn: str, *phases: str) -> TurnEvent:
        async with asyncio.timeout(10):
            while True:
                for _, event in self.sent(TurnEvent):
                    if event.turn_id == turn and event.phase in phases:
                        return event
                await self.stage.next(TurnEvent)

    @asynccontextmanager
    async def room(self, name: str, *, deaf: bool = False) -> AsyncIterator[None]:
        """One more satellite, while the block lasts."""
        async with self.worker(Worker(Bus(Role.SATELLITE, BusSettings(instance=name)), Room(name, deaf=deaf))):
            await self.stage.next(SatelliteState)
            yield

    @asynccontextmanager
    async def worker(self, worker: Worker) -> AsyncIterator[None]:
        """One more worker, while the block lasts."""
        worker.bus.use(self.stage.broker.link)
        async with worker:
            yield

    async def control(self, *actions: str) -> SatelliteControl:
        async with asyncio.timeout(10):
            while True:
                control = await self.stage.next(SatelliteControl)
                if control.action in actions:
                    return control

    def said(self, turn: str | None = None) -> list[str]:
        """What was given to the voice so far, in one turn or in all of them."""
        return [say.text for identifier, say in self.sent(Say) if turn in {None, identifier}]

    def phases(self, turn: str) -> list[str]:
        return [event.phase for _, event in self.sent(TurnEvent) if event.turn_id == turn]

    def sent(self, kind):
        """Every message of a kind so far, with its turn, in the order of publishing."""
        found = []
        for packet in self.stage.broker.published:
            if packet.topic.startswith("mynah/") and message_type(packet.topic.removeprefix("mynah/")) is kind:
                received = decode(packet, kind)
                found.append((received.envelope.turn, received.message))
        return found


@pytest.fixture
def model() -> type[Model]:
    """Makes models."""
    return Model


@pytest.fixture
def voice() -> Voice:
    return Voice()


@pytest.fixture
def house(tmp_path: Path, recogniser: Recogniser):
    """Makes houses: `async with house(model=…, satellites=(…), without=(…), settings=…) as house`."""

    @asynccontextmanager
    async def make(
        *,
        model: Model | None = None,
        voice: Voice | None = None,
        rooms: tuple[str, ...] = ("kitchen",),
        deaf: bool = False,
        without: tuple[Role, ...] = (),
        settings: RouterSettings | None = None,
        clocks: Clocks | None = None,
        understands: Recogniser | None = None,
    ) -> AsyncIterator[House]:
        model, voice = model or Model(), voice or Voice()
        bus = Bus(Role.ROUTER, BusSettings(home=tmp_path, instance="1"))
        router = Conversation(
            bus,
            settings or RouterSettings(default_satellite="kitchen"),
            recogniser=lambda: understands or recogniser,
            clocks=clocks,
        )
        workers = [
            Worker(Role.TTS, voice),
            Worker(Role.LLM, model),
            *(Worker(Bus(Role.SATELLITE, BusSettings(instance=name)), Room(name, deaf=deaf)) for name in rooms),
            Worker(bus, router),
        ]
        async with serving(*(worker for worker in workers if worker.bus.role not in without)) as stage:
            yield House(stage, voice, model)

    return make
