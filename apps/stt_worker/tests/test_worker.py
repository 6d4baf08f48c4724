"""The speech-to-text worker on a bus without a broker, with engines in a process of their own."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from mynah_audio.pcm import to_bytes
from mynah_audio.writer import WavWriter
from mynah_bus import Bus, BusSettings, RequestFailed, Worker, conversation
from mynah_bus.testing import Stage, serving
from mynah_contracts import PartialTranscript, Role, Transcribe, TranscribePart, Transcript, Vocabulary
from stt_worker.settings import SttSettings
from stt_worker.worker import Transcription

SECOND = to_bytes(np.ones(16_000, np.int16))
HEARD = "this is a scripted question"


@asynccontextmanager
async def recogniser(folder, engine: str = "scripted", **settings) -> AsyncIterator[Stage]:
    """A speech-to-text worker, and who talks to it."""
    part = Transcription(folder, SttSettings(engine=engine, **settings))
    async with serving(Worker(Bus(Role.STT, BusSettings(home=folder, instance="1")), part)) as stage:
        yield stage


async def transcribe(stage: Stage, audio: bytes, **more: str) -> Transcript:
    transcript = await stage.ask(Transcribe(audio=audio, **more), role=Role.SATELLITE, timeout=60)
    assert isinstance(transcript, Transcript)
    return transcript


def children() -> list[int]:
    """The processes that this one has started."""
    return [int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()]


@pytest.mark.req("STT-01", "STT-02")
async def test_a_recording_is_put_into_words_and_in_a_turn_everybody_is_told(tmp_path):
    async with recogniser(tmp_path) as stage:
        with conversation(turn="t"):
            transcript = await transcribe(stage, SECOND, satellite="kitchen")

        assert (transcript.text, transcript.confidence, transcript.satellite) == (HEARD, 1, "kitchen")
        assert transcript.audio_ms == 1000
        assert (transcript.engine, transcript.language) == ("scripted", "en")
        assert (await stage.next(Transcript)).text == HEARD


async def test_a_wav_of_any_kind_is_understood(tmp_path):
    with WavWriter(tmp_path / "a.wav", 44_100) as wav:
        wav.write(np.zeros(22_050, np.int16))
    async with recogniser(tmp_path) as stage:
        transcript = await transcribe(stage, (tmp_path / "a.wav").read_bytes())

        assert transcript.text == HEARD
        assert transcript.audio_ms == pytest.approx(500, abs=1)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (b"", "empty"),
        (b"odd", "16-bit"),
        (b"RIFF\x00\x00\x00\x00WAVEjunk", "WAV"),
        (bytes(2 * 16_000 * 241), "16-bit"),
    ],
    ids=["empty", "odd", "broken", "too long"],
)
async def test_what_is_no_recording_is_refused_in_words_and_the_next_one_works(tmp_path, audio, says):
    async with recogniser(tmp_path) as stage:
        with pytest.raises(RequestFailed, match=says) as refused:
            await transcribe(stage, audio)

        assert refused.value.code == "bad_audio"
        assert not refused.value.retryable
        assert (await transcribe(stage, SECOND)).text == HEARD


async def test_a_recording_that_goes_on_is_put_into_words_as_far_as_it_goes(tmp_path):
    async with recogniser(tmp_path) as stage:
        part = await stage.ask(TranscribePart(audio=SECOND, seq=7, satellite="kitchen"), timeout=20)

        assert isinstance(part, PartialTranscript)
        assert (part.text, part.seq, part.complete) == (HEARD, 7, True)


async def test_what_is_said_after_a_vocabulary_was_told_is_understood_with_it(tmp_path, assistant, say):
    async with recogniser(tmp_path, "sphinx") as stage:
        await stage.send(Vocabulary(intents=assistant))
        transcript = await transcribe(stage, to_bytes(say("what time is it")))

        assert (transcript.text, transcript.mode) == ("what time is it", "grammar")


async def test_it_knows_its_vocabulary_before_anybody_tells_it_again(tmp_path, assistant, say):
    async with recogniser(tmp_path, "sphinx") as stage:
        await stage.send(Vocabulary(intents=assistant))
        await transcribe(stage, SECOND)
    async with recogniser(tmp_path, "sphinx") as stage:
        transcript = await transcribe(stage, to_bytes(say("what time is it")))

        assert (transcript.text, transcript.mode) == ("what time is it", "grammar")


@pytest.mark.parametrize(
    "other",
    [
        Vocabulary(intents={"language": "de", "intents": {}}, language="de"),
        Vocabulary(intents={"language": "en", "intents": {"Broken": "what time is it"}}),
        Vocabulary(intents={"intents": {"Broken": {"data": [{"sentences": ["what (time"]}]}}}),
    ],
    ids=["another language", "no sentences", "no grammar"],
)
async def test_a_vocabulary_that_it_cannot_use_leaves_the_one_before_also_at_the_next_start(
    tmp_path, assistant, say, other
):
    question = to_bytes(say("what time is it"))
    async with recogniser(tmp_path, "sphinx") as stage:
        await stage.send(Vocabulary(intents=assistant))
        await transcribe(stage, question)
        await stage.send(other)
        assert (await transcribe(stage, question)).text == "what time is it"
    async with recogniser(tmp_path, "sphinx") as stage:
        assert (await transcribe(stage, question)).text == "what time is it"


async def test_recognisers_that_share_a_home_learn_at_the_same_time(tmp_path, assistant):
    workers = [
        Worker(
            Bus(Role.STT, BusSettings(home=tmp_path, instance=name)),
            Transcription(tmp_path, SttSettings(engine="scripted")),
        )
        for name in "1234"
    ]
    async with serving(*workers) as stage:
        for n in range(20):
            await stage.send(Vocabulary(intents={**assistant, "skip_words": [str(n)]}))
        await asyncio.gather(*(transcribe(stage, SECOND) for _ in range(8)))

    assert not [packet for packet in stage.broker.published if packet.topic.endswith("system/error")]
    assert [path for path in tmp_path.glob("*vocabulary-*") if path.suffix != ".json"] == []


async def test_a_damaged_vocabulary_is_put_away_at_the_start(tmp_path):
    (tmp_path / "vocabulary-0.json").write_bytes(b"{damaged")
    async with recogniser(tmp_path, "sphinx") as stage:
        assert (await transcribe(stage, SECOND)).mode == "dictation"
    assert not list(tmp_path.glob("vocabulary-*"))


async def test_a_language_that_the_engine_does_not_know_is_refused_in_words(tmp_path):
    async with recogniser(tmp_path, "sphinx") as stage:
        with pytest.raises(RequestFailed, match=r"^sphinx understands English only, not 'de'") as refused:
            await transcribe(stage, SECOND, language="de")

        assert not refused.value.retryable


async def test_a_recogniser_that_hangs_is_ended_in_time_for_another_and_the_next_recording_works(tmp_path, assistant):
    async with recogniser(tmp_path, "sphinx", hung_after=0.5) as stage:
        await stage.send(Vocabulary(intents=assistant))
        await transcribe(stage, SECOND)
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(RequestFailed) as failed:
            await transcribe(stage, SECOND)
        assert failed.value.retryable

        assert (await transcribe(stage, SECOND)).mode == "grammar"
        assert children() != [child]


async def test_what_it_was_learning_when_its_process_died_is_learned_by_the_next_one(tmp_path, assistant, say):
    question = to_bytes(say("what time is it"))
    async with recogniser(tmp_path, "sphinx") as stage:
        await transcribe(stage, SECOND)
        (child,) = children()
        os.kill(child, signal.SIGSTOP)
        await stage.send(Vocabulary(intents=assistant))
        async with asyncio.timeout(10):
            while not list(tmp_path.glob("vocabulary-*.json")):  # noqa: ASYNC110  # a file tells nobody
                await asyncio.sleep(0)
        os.kill(child, signal.SIGKILL)

        assert (await transcribe(stage, question)).text == "what time is it"
