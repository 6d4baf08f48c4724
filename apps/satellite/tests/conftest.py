import asyncio
import csv
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from blockbuster import blockbuster_ctx

from mynah_audio.pcm import Samples, to_bytes
from mynah_audio.recording import load
from mynah_audio.wake import Detection
from mynah_bus import Bus, BusSettings, EngineFailed, Received, Worker, conversation, handles
from mynah_bus.testing import Stage, VirtualLoop, serving
from mynah_bus.wire import decode
from mynah_contracts import (
    MicControl,
    PartialTranscript,
    PlaybackStatus,
    Role,
    SatelliteControl,
    SatelliteState,
    Speech,
    Transcribe,
    TranscribePart,
    Transcript,
    TurnEvent,
    WakeEvent,
)
from satellite.listener import Listener
from satellite.room import Room
from satellite.sinks import NullSink


@pytest.fixture(autouse=True)
def loop_stays_awake() -> Iterator[None]:
    """A blocking call on an event loop is an error, but for what is read once when a worker is made."""
    with blockbuster_ctx() as blockbuster:
        for function in blockbuster.functions.values():
            function.can_block_in("pydantic_settings/main.py", "__init__")
            function.can_block_in("mynah_bus/worker.py", "_version")
        yield


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, object]], None]:
    """Runs a coroutine on a loop whose clock jumps from timer to timer."""

    def run(coroutine: Coroutine[Any, Any, object]) -> None:
        with asyncio.Runner(loop_factory=partial(VirtualLoop, may_wait=True)) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture(params=["asyncio", "uvloop"])
def on_each_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, object]], None]:
    """Runs a coroutine on the loops that the satellite may have."""

    def run(coroutine: Coroutine[Any, Any, object]) -> None:
        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture(scope="session")
def voices() -> dict[str, Samples]:
    """Recordings of real voices by their file's name."""
    folder = os.environ.get("MYNAH_MODELS_DIR")
    if not folder:
        pytest.skip("MYNAH_MODELS_DIR is not set: no recordings of real voices")
    recordings = Path(folder) / "speech"
    with (recordings / "transcripts.tsv").open(newline="") as table:
        names = [row["file"] for row in csv.DictReader(table, delimiter="\t")]
    return {name.removesuffix(".wav"): load(recordings / name).samples for name in names}


@pytest.fixture
def ramp() -> Callable[[int], Samples]:
    """Sound in which every sample is its own number."""
    return lambda length: np.arange(1, length + 1).astype(np.int16)


LOUD = np.full(320, 8_000, np.int16)
QUIET = np.zeros(320, np.int16)
WAKE = np.full(320, 77, np.int16)


class LoudIsVoice:
    """A voice detector for which every loud sample is a voice."""

    def push(self, samples):
        return float(samples.max(initial=0) > 1_000)

    def reset(self):
        """Nothing is remembered."""


@pytest.fixture
def loud_is_voice() -> type[LoudIsVoice]:
    """Makes voice detectors."""
    return LoudIsVoice


class WakesAt77:
    """A wake word that is heard in frames of one certain value."""

    def push(self, samples):
        return Detection("okay_nabu", 0.9) if samples[0] == WAKE[0] else None

    def reset(self):
        """Nothing is remembered."""


class Microphone:
    """A source that a test speaks into; `heard` is set when all of it has been taken."""

    goes_on = False

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Samples | None] = asyncio.Queue()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        """Nothing is open."""

    def hear(self, frame: Samples, milliseconds: int = 20) -> None:
        for _ in range(milliseconds // 20):
            self._frames.put_nowait(frame)

    def end(self) -> None:
        self._frames.put_nowait(None)

    async def heard(self) -> None:
        """Wait until everything so far has been taken and looked at."""
        await self._frames.join()

    async def __aiter__(self):
        while (frame := await self._frames.get()) is not None:
            yield frame
            self._frames.task_done()
        self._frames.task_done()


class Loudspeaker(NullSink):
    """A sink that takes as many blocks as it is allowed to, and keeps them."""

    def __init__(self, blocks: int = 1_000_000) -> None:
        super().__init__(paced=False)
        self._allowed = asyncio.Semaphore(blocks)
        self._wanted = 0
        self._reached = asyncio.Event()
        self.blocks: list[Samples] = []
        self.hooks: dict[int, Callable[[], None]] = {}
        """What happens while a block sounds, by its number from 1."""

    @property
    def sound(self) -> Samples:
        return np.concatenate(self.blocks) if self.blocks else np.empty(0, np.int16)

    def allow(self, blocks: int) -> None:
        for _ in range(blocks):
            self._allowed.release()

    async def reached(self, blocks: int) -> None:
        """Wait until so many blocks were played."""
        self._wanted = blocks
        if len(self.blocks) < blocks:
            self._reached.clear()
            await self._reached.wait()

    async def _write(self, block: Samples) -> None:
        await self._allowed.acquire()
        self.blocks.append(block)
        self.hooks.get(len(self.blocks), lambda: None)()
        if len(self.blocks) >= self._wanted:
            self._reached.set()


class Router:
    """Hears what a router hears, and does nothing about it."""

    @handles(waiting=1_000)
    async def wake(self, event: WakeEvent) -> None:
        """Seen on the stage."""

    @handles(waiting=1_000)
    async def status(self, status: PlaybackStatus) -> None:
        """Seen on the stage."""


@dataclass
class Transcriber:
    """Understands the same in everything."""

    text: str = "what time is it"
    failure: str = ""
    complete: bool = False
    recordings: list[Transcribe] = field(default_factory=list)
    parts: list[TranscribePart] = field(default_factory=list)

    @handles
    async def transcribe(self, recording: Transcribe) -> Transcript:
        self.recordings.append(recording)
        if self.failure:
            raise EngineFailed(self.failure)
        return Transcript(text=self.text, satellite=recording.satellite)

    @handles
    async def transcribe_part(self, part: TranscribePart) -> PartialTranscript:
        self.parts.append(part)
        return PartialTranscript(text=self.text, seq=part.seq, satellite=part.satellite, complete=self.complete)


@dataclass
class Home:
    """A satellite, and what happens around it."""

    stage: Stage
    room: Room
    router: Worker
    microphone: Microphone
    loudspeaker: Loudspeaker
    transcriber: Transcriber
    others: list[Received] = field(default_factory=list)

    async def woken(self, kind: str = "wake") -> Received:
        """The next event of a kind, with its envelope."""
        return await self._next(WakeEvent, lambda received: received.message.type == kind)

    async def status(self, kind: str, turn: str | None = None) -> Received:
        """The next status of a kind, of one turn or of any."""
        return await self._next(
            PlaybackStatus,
            lambda received: received.message.event == kind and turn in {None, received.envelope.turn},
        )

    async def _next(self, kind, wanted: Callable[[Received], bool]) -> Received:
        for received in self.others:
            if isinstance(received.message, kind) and wanted(received):
                self.others.remove(received)
                return received
        async with asyncio.timeout(10):
            while not wanted(received := await self.stage.received(kind)):
                self.others.append(received)
        return received

    async def say(self, turn: str, n: int, *pieces: Samples, first: int = 0, last: bool = True, sentences: int = 0):
        """What the voice sends for one sentence."""
        for seq, piece in enumerate(pieces, first):
            with conversation(turn=turn):
                await self.stage.send(
                    Speech(
                        audio=to_bytes(piece),
                        satellite="kitchen",
                        n=n,
                        seq=seq,
                        last=last and seq == first + len(pieces) - 1,
                        sentences=sentences,
                    )
                )

    async def control(self, turn: str | None, action: str, sentences: int = 0, reason: str = "") -> None:
        """What the router sends about a turn."""
        with conversation(turn=turn):
            await self.stage.send(
                SatelliteControl.received(
                    {"satellite": "kitchen", "action": action, "sentences": sentences, "reason": reason}
                )
            )

    async def microphone_is(self, action: str) -> None:
        """Close or open the microphone, and wait until that is done."""
        await self.stage.send(MicControl.received({"action": action, "satellite": "kitchen"}))
        wanted = "muted" if action == "mute" else "idle"
        async with asyncio.timeout(10):
            while (await self.stage.next(SatelliteState)).state != wanted:
                pass

    async def phase(self, turn: str, phase: str, **more) -> None:
        with conversation(turn=turn):
            await self.stage.send(TurnEvent.received({"turn_id": turn, "phase": phase, **more}))

    def statuses(self) -> list[tuple[str | None, str, int]]:
        """Every status so far: turn, event, sentence."""
        return [
            (received.envelope.turn, received.message.event, received.message.n)
            for packet in self.stage.broker.published
            if packet.topic == "mynah/tts/status"
            for received in [decode(packet, PlaybackStatus)]
        ]


@pytest.fixture
def home():
    """Makes homes: `async with home(wake=True, …) as home`."""

    @asynccontextmanager
    async def make(
        *,
        wake: bool = False,
        router: bool = True,
        stt: bool = True,
        blocks: int = 1_000_000,
        transcriber: Transcriber | None = None,
        **settings,
    ) -> AsyncIterator[Home]:
        microphone, loudspeaker = Microphone(), Loudspeaker(blocks)
        transcriber = transcriber or Transcriber()
        bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"), where={"satellite": "kitchen"})
        listener = partial(Listener, LoudIsVoice(), wake=WakesAt77() if wake else None)
        room = Room(bus, "kitchen", microphone, loudspeaker, listener, **settings)
        conductor = Worker(Role.ROUTER, Router())
        neighbours = [*([conductor] if router else []), *([Worker(Role.STT, transcriber)] if stt else [])]
        async with serving(*neighbours, Worker(bus, room)) as stage:
            yield Home(stage, room, conductor, microphone, loudspeaker, transcriber)

    return make


@pytest.fixture
def transcriber() -> type[Transcriber]:
    """Makes transcribers."""
    return Transcriber


@pytest.fixture
def microphone() -> Microphone:
    return Microphone()
