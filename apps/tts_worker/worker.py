"""Speaks sentences piece by piece, the first one early, and whole texts as WAV files."""

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Final, Self

import numpy as np

from mynah_audio.pcm import SAMPLE_RATE, Samples, to_bytes
from mynah_audio.resample import Resampler
from mynah_audio.wav import encode
from mynah_bus import EngineFailed, ModelThread, MynahError, Worker, conversation, current, handles, in_thread, new_id
from mynah_contracts import PlaybackControl, Role, Said, Say, Speech, SpokenRecording, Synthesize
from tts_worker.engines import SpeechError, Synthesizer
from tts_worker.engines.choice import Choice, choose
from tts_worker.engines.espeak import EspeakSettings
from tts_worker.lane import Lane
from tts_worker.settings import TtsSettings

log = logging.getLogger(__name__)

FIRST_PIECE: Final = SAMPLE_RATE // 5
"""Samples of the first piece of a sentence, so that it is heard early."""
PIECE: Final = 2 * SAMPLE_RATE
"""Samples of the others."""
MOST_SAMPLES: Final = 240 * SAMPLE_RATE
"""Of one recording: the broker takes packets of 8 MiB."""
PIECES_AT_ONCE: Final = 8
"""How many are made of a text before others have their turn."""
AHEAD_S: Final = 120.0
"""Seconds that a satellite is sent before it has had the time to play them: it keeps five minutes."""
BY_HAND: Final = 16
"""Texts of others than the router that are in hand at once: long ones take as long as they are heard."""
AT_ONCE: Final = 2 * BY_HAND
"""Texts that are in hand at once: the engine has one thread, and who waits for a loudspeaker costs nothing."""
LANE_WITHIN: Final = 30.0
"""Seconds for which a text waits for others that are spoken at its satellite."""

Sleep = Callable[[float], Awaitable[object]]


class Speaking:
    """Speaks with an engine in a thread of its own; a call that outlives `hung_after` seconds ends the process."""

    def __init__(self, choice: Choice, *, hung_after: float = 30.0, sleep: Sleep = asyncio.sleep) -> None:
        self._choice = choice
        self._engine: Synthesizer = choice.make()
        self._thread = ModelThread("tts")
        self._hung_after = hung_after
        self._sleep = sleep
        self._by_hand = 0
        self._lanes: dict[str, Lane] = {}
        self._spoken_at: dict[threading.Event, str] = {}
        """Whether each sentence at work is still wanted, and the satellite that it is for."""
        self.engine = choice.name

    async def __aenter__(self) -> Self:
        await self._thread.__aenter__()
        try:
            await self._thread(self._engine.__enter__)
        except SpeechError as error:
            await self._thread.__aexit__()
            raise EngineFailed(str(error)) from error
        log.info("%s", self._choice.why)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._engine.stop()
        await self._thread.__aexit__(*error)
        self._engine.__exit__(*error)

    @handles(at_once=AT_ONCE)
    async def say(self, say: Say) -> AsyncIterator[Speech | Said]:
        """Send a sentence to its satellite, piece by piece; one that belongs to no turn is a turn of its own."""
        alone = current().turn is None
        sentence = say.model_copy(update={"n": 0}) if alone else say
        with conversation(turn=new_id() if alone else None):
            async with self._admitted(say.satellite) as lane:
                async for said in self._say(sentence, lane, sentences=int(alone)):
                    yield said

    @asynccontextmanager
    async def _admitted(self, satellite: str) -> AsyncIterator[Lane]:
        """The way to a satellite; a turn has it to itself, as its answer is heard before all that waits there."""
        if current().source.startswith(f"{Role.ROUTER.value}/"):
            yield Lane()
            return
        if self._by_hand >= BY_HAND:
            raise MynahError(f"{BY_HAND} texts are being spoken already.", code="queue_full", retryable=True)
        self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.is_free}
        lane = self._lanes.setdefault(satellite, Lane())
        self._by_hand += 1
        try:
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(LANE_WITHIN):
                        await stack.enter_async_context(lane)
                except TimeoutError:
                    raise MynahError(f"A long text is being spoken at {satellite}.", code="busy") from None
                yield lane
        finally:
            self._by_hand -= 1

    async def _say(self, say: Say, lane: Lane, sentences: int) -> AsyncIterator[Speech | Said]:
        began = time.perf_counter()
        first = 0.0
        samples = pieces = 0
        wanted = threading.Event()
        wanted.set()
        self._spoken_at[wanted] = say.satellite
        try:
            async with aclosing(self._spoken(say.text, say.voice, wanted)) as spoken:
                async for piece in spoken:
                    first = first or time.perf_counter()
                    yield Speech(
                        audio=to_bytes(piece), satellite=say.satellite, n=say.n, seq=pieces, sentences=sentences
                    )
                    samples += len(piece)
                    pieces += 1
                    await self._sleep(max(lane.sent(len(piece) / SAMPLE_RATE) - AHEAD_S, 0.0))
        finally:
            del self._spoken_at[wanted]
        # An empty piece ends the sentence: waiting for the end to mark it would hold the first piece back.
        yield Speech(audio=b"", satellite=say.satellite, n=say.n, seq=pieces, last=True, sentences=sentences)
        yield Said(
            n=say.n,
            pieces=pieces,
            audio_ms=1e3 * samples / SAMPLE_RATE,
            ms=1e3 * (time.perf_counter() - began),
            first_ms=1e3 * (first - began) if first else 0.0,
        )

    @handles(at_once=4)
    async def synthesize(self, wanted: Synthesize) -> SpokenRecording:
        """Make a WAV file of a text."""
        began = time.perf_counter()
        pieces: list[Samples] = []
        length = 0
        needed = threading.Event()
        needed.set()
        async with aclosing(self._spoken(wanted.text, wanted.voice, needed)) as spoken:
            async for piece in spoken:
                pieces.append(piece)
                length += len(piece)
                if length > MOST_SAMPLES:
                    raise MynahError(f"Its speech is longer than {MOST_SAMPLES // SAMPLE_RATE} s.", code="too_long")
        return SpokenRecording(
            audio=await in_thread(lambda: encode(np.concatenate(pieces))),
            audio_ms=1e3 * length / SAMPLE_RATE,
            ms=1e3 * (time.perf_counter() - began),
        )

    @handles
    async def control(self, control: PlaybackControl) -> None:
        """Stop speaking to a satellite, or to all; what goes into files is not speech."""
        if control.action == "stop":
            for wanted, satellite in self._spoken_at.items():
                if control.satellite in {"", satellite}:
                    wanted.clear()
            for satellite, lane in self._lanes.items():
                if control.satellite in {"", satellite}:
                    lane.clear()

    async def _spoken(self, text: str, voice: str | None, wanted: threading.Event) -> AsyncGenerator[Samples, None]:
        """Pieces at 16 kHz, as soon as they are made and as long as they are wanted; a few ahead of who takes them."""
        loop = asyncio.get_running_loop()
        ready: asyncio.Queue[Samples | None] = asyncio.Queue()
        pieces = self._pieces(text, voice, wanted)

        def make() -> int:
            made = 0
            try:
                for piece in itertools.islice(pieces, PIECES_AT_ONCE):
                    loop.call_soon_threadsafe(ready.put_nowait, piece)
                    made += 1
            except SpeechError as error:
                raise EngineFailed(str(error)) from error
            finally:
                loop.call_soon_threadsafe(ready.put_nowait, None)
            return made

        made = PIECES_AT_ONCE
        try:
            while made == PIECES_AT_ONCE and wanted.is_set():
                making = asyncio.ensure_future(self._thread(make, deadline=self._hung_after))
                try:
                    while (piece := await ready.get()) is not None and wanted.is_set():
                        yield piece
                    made = await making
                finally:
                    making.cancel()
        finally:
            wanted.clear()  # who asked has all of it, or has gone

    def _pieces(self, text: str, voice: str | None, wanted: threading.Event) -> Iterator[Samples]:
        resampler = Resampler(self._engine.sample_rate, SAMPLE_RATE)
        waiting: list[Samples] = []
        length, enough = 0, FIRST_PIECE
        if not wanted.is_set():
            return
        for chunk in self._engine.synthesize(text, voice):
            if not wanted.is_set():
                return
            waiting.append(resampler.push(chunk))
            length += len(waiting[-1])
            if length >= enough:
                yield np.concatenate(waiting)
                waiting, length, enough = [], 0, PIECE
        yield np.concatenate((*waiting, resampler.finish()))


def build() -> Worker:
    """The worker as it runs."""
    settings = TtsSettings()
    espeak = EspeakSettings(settings.voice, settings.rate, settings.pitch, settings.volume)
    return Worker(Role.TTS, Speaking(choose(settings.engine, espeak), hung_after=settings.hung_after))
