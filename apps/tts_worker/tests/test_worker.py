import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mynah_audio.pcm import SAMPLE_RATE, from_bytes
from mynah_audio.recording import load
from mynah_bus import Bus, BusSettings, RequestFailed, Worker, conversation
from mynah_bus.offload import EXIT_HUNG
from mynah_bus.testing import Stage, serving
from mynah_bus.wire import decode
from mynah_contracts import PlaybackControl, Role, Said, Say, Speech, SpokenRecording, Synthesize
from mynah_resilience import StallProbe
from tts_worker.engines import SpeechError
from tts_worker.engines.choice import Choice
from tts_worker.engines.espeak import Espeak
from tts_worker.engines.scripted import Scripted
from tts_worker.worker import AHEAD_S, BY_HAND, Speaking

WORD = 2_400
"""Samples of a word of the scripted voice."""


class Held(Scripted):
    """A voice that says one word, and the rest when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def synthesize(self, text, voice=None):
        chunks = super().synthesize(text, voice)
        yield np.concatenate([next(chunks), next(chunks)])
        self.go.wait(10)
        yield from chunks

    def __exit__(self, *error) -> None:
        self.go.set()
        super().__exit__(*error)


@dataclass
class Studio:
    """A speech worker."""

    stage: Stage
    worker: Worker
    engine: Scripted | Espeak

    async def say(self, text: str, n: int = 0, *, turn: str | None = "t", satellite: str = "kitchen") -> Said:
        with conversation(turn=turn):
            said = await self.stage.ask(Say(text=text, n=n, satellite=satellite), role=Role.ROUTER, timeout=20)
        assert isinstance(said, Said)
        return said

    async def record(self, text: str, voice: str | None = None) -> SpokenRecording:
        recording = await self.stage.ask(Synthesize(text=text, voice=voice), timeout=30)
        assert isinstance(recording, SpokenRecording)
        return recording

    async def stop(self, satellite: str) -> None:
        """Stop, and wait until the worker has done so: the next stop is handled after it."""
        desk = self.worker.dispatcher.desks[PlaybackControl][0]
        handled = self.worker.bus.counters.get("handled", 0)
        await self.stage.send(PlaybackControl(action="stop", satellite=satellite))
        async with asyncio.timeout(5):
            # Nothing tells when an event has been handled.
            while self.worker.bus.counters.get("handled", 0) == handled or desk.working:  # noqa: ASYNC110
                await asyncio.sleep(0)

    def sentences(self) -> list[list[tuple[str | None, Speech]]]:
        """What was sent so far, sentence by sentence: every piece with its turn."""
        sentences: list[list[tuple[str | None, Speech]]] = [[]]
        for packet in self.stage.broker.published:
            if packet.topic.endswith("/play"):
                received = decode(packet, Speech)
                assert isinstance(received.message, Speech)
                sentences[-1].append((received.envelope.turn, received.message))
                if received.message.last:
                    sentences.append([])
        return sentences[:-1]


@asynccontextmanager
async def studio(engine: Scripted | Espeak | None = None, **settings) -> AsyncIterator[Studio]:
    engine = engine or Scripted()
    bus = Bus(Role.TTS, BusSettings(instance="1"))
    worker = Worker(bus, Speaking(Choice("scripted", "a test", lambda: engine), **settings))
    async with serving(worker) as stage:
        yield Studio(stage, worker, engine)


async def test_a_sentence_comes_in_pieces_the_first_one_early_and_the_last_one_marked():
    async with studio() as voice:
        said = await voice.say(" ".join(["word"] * 60), n=3)
        ((*pairs,),) = voice.sentences()
        pieces = [piece for _, piece in pairs]

        assert [piece.seq for piece in pieces] == list(range(len(pieces)))
        assert {(piece.n, piece.satellite, piece.sentences) for piece in pieces} == {(3, "kitchen", 0)}
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        lengths = [len(piece.audio) // 2 for piece in pieces]
        assert lengths[0] < SAMPLE_RATE // 2 < lengths[1]
        assert sum(lengths) == 60 * WORD
        assert (said.n, said.pieces) == (3, len(pieces) - 1)
        assert said.audio_ms == pytest.approx(60 * 150)
        assert 0 < said.first_ms <= said.ms


@pytest.mark.req("TTS-03")
async def test_sentences_that_are_asked_for_together_are_spoken_in_order():
    async with studio() as voice:
        await voice.stage.bus(Role.ROUTER)
        await asyncio.gather(*(voice.say(f"sentence {number}", n=number) for number in range(20)))

        assert [sentence[-1][1].n for sentence in voice.sentences()] == list(range(20))


async def test_what_is_said_by_hand_is_a_turn_of_its_own_with_one_sentence():
    async with studio() as voice:
        await voice.say("hello", n=7, turn=None)
        await voice.say("again", turn=None)
        first, second = voice.sentences()

        assert {(piece.n, piece.sentences) for _, piece in first + second} == {(0, 1)}
        assert len({turn for turn, _ in first}) == len({turn for turn, _ in second}) == 1
        assert None not in {first[0][0], second[0][0]}
        assert first[0][0] != second[0][0]


async def test_a_sentence_without_words_ends():
    async with studio() as voice:
        said = await voice.say("   ")

        assert said.audio_ms == 0
        assert len(voice.sentences()) == 1


@pytest.mark.req("TTS-01")
async def test_a_recording_is_a_valid_wav():
    async with studio() as voice:
        recording = await voice.record("one two three")

        sound = await asyncio.to_thread(load, recording.audio)
        assert len(sound.samples) == 3 * WORD
        assert recording.audio_ms == pytest.approx(450)


async def test_nothing_to_say_is_a_recording_without_sound():
    async with studio() as voice:
        assert (await voice.record("")).audio[:4] == b"RIFF"


async def test_what_would_be_too_long_is_refused_and_the_next_text_is_spoken():
    async with studio() as voice:
        with pytest.raises(RequestFailed, match="longer than 240 s") as failure:
            await voice.record("a " * 2_000)

        assert failure.value.code == "too_long"
        assert (await voice.record("one")).audio_ms == pytest.approx(150)


async def test_an_unknown_voice_is_one_sentence():
    async with studio() as voice:
        with pytest.raises(RequestFailed, match=r"^there is no voice named 'nobody'$") as failure:
            await voice.record("hello", voice="nobody")

        assert failure.value.code == "engine"


async def test_an_engine_that_fails_in_the_middle_says_why():
    async with studio(Scripted(failure=SpeechError("The voice broke."), after=5)) as voice:
        with pytest.raises(RequestFailed, match="The voice broke"):
            await voice.say("one two three four five six seven")


@pytest.mark.req("TTS-04")
async def test_stop_ends_what_is_being_said_and_what_waits_for_that_satellite():
    engine = Held()
    async with studio(engine) as voice:
        first = asyncio.create_task(voice.say("one two three four", 0))
        await voice.stage.received(Speech)
        second = asyncio.create_task(voice.say("five six seven", 1))
        await voice.stage.received(Say)
        await voice.stage.received(Say)

        await voice.stop("kitchen")
        engine.go.set()

        assert (await first).audio_ms == pytest.approx(300)
        assert (await second).audio_ms == 0
        assert (await voice.say("eight nine", 2)).audio_ms == pytest.approx(300)


@pytest.mark.req("TTS-04")
async def test_stop_at_one_satellite_leaves_the_others_and_recordings_alone():
    engine = Held()
    async with studio(engine) as voice:
        here = asyncio.create_task(voice.say("one two three four", satellite="kitchen"))
        await voice.stage.received(Speech)
        file = asyncio.create_task(voice.record("one two three"))
        await voice.stage.received(Synthesize)

        await voice.stop("office")
        engine.go.set()

        assert (await here).audio_ms == pytest.approx(600)
        assert (await file).audio_ms == pytest.approx(450)


@pytest.mark.req("TTS-03")
async def test_requests_are_accepted_while_another_is_spoken():
    engine = Held()
    async with studio(engine) as voice:
        saying = [asyncio.create_task(voice.say("one two three", number)) for number in range(5)]
        await voice.stage.received(Speech)
        for _ in saying:
            await voice.stage.received(Say)
        assert voice.worker.dispatcher.in_flight == 5
        engine.go.set()

        assert [(await each).n for each in saying] == list(range(5))


async def test_a_satellite_is_not_sent_more_than_it_can_keep():
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.sleep(0)

    async with studio(sleep=sleep) as voice:
        await voice.say("word " * 1_000)

        # 150 s of speech: two minutes at once, then as fast as they are played.
        assert max(pauses[:50]) == 0
        assert pauses[-1] > 0


class Loudspeakers:
    """Play nothing, so that whoever is ahead of them waits."""

    def __init__(self) -> None:
        self.is_ahead = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.is_ahead.set()
            await asyncio.get_running_loop().create_future()


async def test_a_turn_is_spoken_while_long_texts_wait_for_their_loudspeakers():
    async with studio(sleep=Loudspeakers().sleep) as voice:
        guest = await voice.stage.bus(Role.GUEST)
        for number in range(BY_HAND):
            guest.publish(Say(text="word " * 1_000, satellite=f"room-{number}"))

        assert (await voice.say("one two")).audio_ms == pytest.approx(300)


async def test_texts_by_hand_together_send_a_satellite_no_more_than_it_can_keep():
    loudspeakers = Loudspeakers()
    async with studio(sleep=loudspeakers.sleep) as voice:
        guest = await voice.stage.bus(Role.GUEST)
        for _ in range(4):
            guest.publish(Say(text="word " * 1_000, satellite="kitchen"))
        await loudspeakers.is_ahead.wait()
        await voice.say("one", satellite="office")

        sent = [packet for packet in voice.stage.broker.published if packet.topic.endswith("kitchen/play")]
        assert len({decode(packet, Speech).envelope.turn for packet in sent}) == 1
        assert AHEAD_S < sum(len(packet.payload) for packet in sent) / 2 / SAMPLE_RATE < AHEAD_S + 20


async def test_more_texts_by_hand_than_can_be_kept_are_refused():
    async with studio(sleep=Loudspeakers().sleep) as voice:
        guest = await voice.stage.bus(Role.GUEST)
        for _ in range(BY_HAND):
            guest.publish(Say(text="word " * 1_000, satellite="kitchen"))

        with pytest.raises(RequestFailed, match="are being spoken already") as failure:
            await guest.request(Say(text="one"), Said, timeout=5)

        assert failure.value.code == "queue_full"


async def test_no_more_of_a_long_text_is_made_than_can_be_sent():
    class Counting(Scripted):
        words = 0

        def synthesize(self, text, voice=None):
            for chunk in super().synthesize(text, voice):
                self.words += 1
                yield chunk

    engine, loudspeakers = Counting(), Loudspeakers()
    async with studio(engine, sleep=loudspeakers.sleep) as voice:
        (await voice.stage.bus(Role.GUEST)).publish(Say(text="word " * 4_000, satellite="kitchen"))
        await loudspeakers.is_ahead.wait()
        await voice.say("one")

        assert engine.words * WORD / SAMPLE_RATE < AHEAD_S + 20


async def test_a_text_that_is_stopped_makes_room_for_the_next():
    loudspeakers = Loudspeakers()
    async with studio(sleep=loudspeakers.sleep) as voice:
        guest = await voice.stage.bus(Role.GUEST)
        # Two minutes to the sample: nothing more may follow, and the lane is left.
        await guest.request(Say(text="word " * 800, satellite="kitchen"), Said, timeout=10)
        await voice.stop("kitchen")

        said = await guest.request(Say(text="word " * 800, satellite="kitchen"), Said, timeout=10)

        assert said.audio_ms == pytest.approx(120_000)


@pytest.mark.req("TTS-03", "PERF-01")
async def test_the_loop_stays_awake_while_ten_thousand_characters_are_spoken():
    text = "The quick brown fox jumps over the lazy dog. " * 223

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    async with studio(Espeak(), sleep=at_once) as voice:
        await voice.say("warm up")
        async with StallProbe() as probe:
            said = await voice.say(text)

        assert said.audio_ms > 300_000
        assert probe.maximum_ms < 50


async def test_speech_of_the_embedded_engine_is_heard():
    async with studio(Espeak()) as voice:
        await voice.say("hello")
        (pieces,) = voice.sentences()

        sound = np.concatenate([from_bytes(piece.audio) for _, piece in pieces])
        assert len(sound) > SAMPLE_RATE // 4
        assert np.abs(sound).max() > 3_000


@pytest.mark.req("F18")
def test_a_worker_whose_engine_hangs_ends_by_itself():
    folder = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("hangs.py"))],
        env={**os.environ, "PYTHONPATH": f"{folder / 'packages'}:{folder / 'apps'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == EXIT_HUNG
    assert "has not come back within its deadline" in done.stderr
