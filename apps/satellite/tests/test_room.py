import asyncio
import os

import numpy as np
import pytest

from mynah_audio.pcm import SAMPLE_RATE, to_bytes
from mynah_audio.recording import load
from mynah_audio.wav import encode
from mynah_bus import Bus, BusSettings, EngineFailed, Worker, conversation
from mynah_bus.testing import serving
from mynah_contracts import (
    AudioLevels,
    Health,
    PartialTranscript,
    Role,
    SatelliteControl,
    Speech,
    Transcript,
)
from satellite.listener import Listener
from satellite.room import NO_ANSWER, NO_ROUTER, Room
from satellite.sinks import FileSink, NullSink
from satellite.sources import FileSource, PipeSource
from satellite.worker import DEAF, build, make_listener

LOUD = np.full(320, 8_000, np.int16)
QUIET = np.zeros(320, np.int16)
WAKE = np.full(320, 77, np.int16)
ANSWER = np.full(3_200, 5, np.int16)
ALARM = 6_400


def speak(house, milliseconds: int = 400) -> None:
    """Somebody says something and falls silent."""
    house.microphone.hear(LOUD, milliseconds)
    house.microphone.hear(QUIET, 600)


def was_alarmed(house) -> bool:
    return bool(np.abs(house.loudspeaker.sound[-ALARM:]).max(initial=0) > 4_000)


# -- hearing


async def test_a_wake_word_begins_a_turn_and_what_follows_is_put_into_words(home):
    async with home(wake=True) as house:
        speak(house)
        house.microphone.hear(WAKE)
        speak(house)

        woken = await house.woken("wake")
        assert (woken.message.cause, woken.message.confidence, woken.message.satellite) == ("okay_nabu", 0.9, "kitchen")
        assert woken.message.energy > -30
        assert woken.envelope.session == "kitchen"
        heard = await house.woken("heard")
        assert heard.envelope.turn == woken.envelope.turn
        said = await house.stage.received(Transcript)
        assert (said.envelope.turn, said.message.satellite) == (woken.envelope.turn, "kitchen")
        assert [len(recording.audio) for recording in house.transcriber.recordings] == [2 * 16 * 900]


async def test_without_a_wake_word_every_voice_begins_a_turn(home):
    async with home() as house:
        speak(house)
        first = await house.woken("heard")
        speak(house)
        second = await house.woken("heard")

        assert first.envelope.turn != second.envelope.turn
        assert (await house.woken("wake")).message.cause == "speech"


async def test_nothing_after_the_wake_word_is_a_timeout(home):
    async with home(wake=True) as house:
        house.microphone.hear(WAKE)
        house.microphone.hear(QUIET, 7_000)

        woken = await house.woken("wake")
        assert (await house.woken("timeout")).envelope.turn == woken.envelope.turn
        assert house.transcriber.recordings == []


async def test_a_recording_that_cannot_be_put_into_words_is_told(home, transcriber):
    async with home(wake=True, transcriber=transcriber(failure="The model is broken.")) as house:
        house.microphone.hear(WAKE)
        speak(house)

        error = await house.woken("error")
        assert error.message.cause == "The model is broken."
        assert error.envelope.turn == (await house.woken("wake")).envelope.turn


async def test_without_anybody_who_transcribes_that_is_told_at_once(home):
    async with home(wake=True, stt=False) as house:
        house.microphone.hear(WAKE)
        speak(house)

        assert (await house.woken("error")).message.cause == "No stt worker is running."


async def test_push_to_talk_is_one_turn_however_much_is_said(home):
    async with home(push_to_talk=True) as house:
        speak(house)
        speak(house)
        house.microphone.end()
        woken = await house.woken("wake")
        assert woken.message.cause == "push_to_talk"
        await house.woken("heard")
        await house.stage.received(Transcript)

        assert len([p for p in house.stage.broker.published if p.topic == "mynah/wake/event"]) == 2


async def test_what_is_being_said_when_the_source_ends_is_an_utterance(home):
    async with home(push_to_talk=True) as house:
        house.microphone.hear(LOUD, 400)
        house.microphone.end()

        await house.stage.received(Transcript)


async def test_silence_with_push_to_talk_is_a_timeout(home):
    async with home(push_to_talk=True) as house:
        house.microphone.hear(QUIET, 400)
        house.microphone.end()

        await house.woken("timeout")


@pytest.mark.req("STT-05")
async def test_what_was_said_so_far_is_put_into_words_while_somebody_speaks(home):
    async with home() as house:
        house.microphone.hear(LOUD, 700)

        partial_transcript = await house.stage.received(PartialTranscript)

        assert partial_transcript.message.text == "what time is it"
        assert partial_transcript.envelope.turn == (await house.woken("wake")).envelope.turn
        assert len(house.transcriber.parts[0].audio) == 2 * 16 * 600


async def test_less_silence_ends_a_sentence_that_is_known_to_be_whole(home, transcriber):
    async with home(transcriber=transcriber(complete=True)) as house:
        house.microphone.hear(LOUD, 400)
        house.microphone.hear(QUIET, 100)
        await house.stage.received(PartialTranscript)
        await house.microphone.heard()
        house.microphone.hear(QUIET, 200)

        await house.woken("heard")


async def test_a_sentence_that_is_not_known_to_be_whole_needs_more_silence(home):
    async with home() as house:
        house.microphone.hear(LOUD, 400)
        house.microphone.hear(QUIET, 100)
        await house.stage.received(PartialTranscript)
        house.microphone.hear(QUIET, 200)
        await house.microphone.heard()

        assert house.transcriber.recordings == []


@pytest.mark.req("STT-05")
async def test_the_spectrum_is_shown_while_somebody_listens(home):
    async with home() as house:
        house.microphone.hear(LOUD, 100)

        levels = await house.stage.next(AudioLevels)

        assert levels.satellite == "kitchen"
        assert max(levels.fft) > 0.5


async def test_who_is_not_watched_shows_nothing_and_asks_for_no_partials(home):
    async with home(watched=False) as house:
        speak(house, 1_000)
        await house.stage.received(Transcript)

        assert house.transcriber.parts == []
        assert not [p for p in house.stage.broker.published if p.topic == "mynah/stt/audio_fft"]


async def test_a_closed_microphone_hears_nothing_until_it_is_opened(home):
    async with home(wake=True) as house:
        await house.microphone_is("mute")
        house.microphone.hear(WAKE)
        speak(house)
        await house.microphone.heard()
        await house.microphone_is("unmute")
        house.microphone.hear(WAKE)
        speak(house)
        await house.stage.received(Transcript)

        assert len(house.transcriber.recordings) == 1


async def test_closing_the_microphone_cancels_what_is_being_said(home):
    async with home(wake=True) as house:
        house.microphone.hear(WAKE)
        house.microphone.hear(LOUD, 200)
        woken = await house.woken("wake")
        await house.microphone.heard()
        await house.microphone_is("mute")

        cancelled = await house.woken("cancelled")
        assert (cancelled.envelope.turn, cancelled.message.cause) == (woken.envelope.turn, "muted")
        await house.microphone_is("unmute")
        house.microphone.hear(QUIET, 600)
        await house.microphone.heard()
        assert house.transcriber.recordings == []


@pytest.mark.req("F22")
async def test_a_satellite_that_stands_down_forgets_what_is_being_said(home):
    async with home(wake=True) as house:
        house.microphone.hear(WAKE)
        house.microphone.hear(LOUD, 200)
        turn = (await house.woken("wake")).envelope.turn
        await house.microphone.heard()
        await house.control(turn, "stand_down")
        assert (await over(house)).phase == "cancelled"
        house.microphone.hear(QUIET, 600)
        await house.microphone.heard()
        assert house.transcriber.recordings == []

        house.microphone.hear(WAKE)
        speak(house)
        await house.stage.received(Transcript)
        assert len(house.transcriber.recordings) == 1


async def test_standing_down_from_an_earlier_turn_does_not_end_the_present_one(home):
    async with home(wake=True) as house:
        house.microphone.hear(WAKE)
        house.microphone.hear(LOUD, 200)
        await house.woken("wake")
        await house.control("another", "stand_down")
        house.microphone.hear(QUIET, 600)

        await house.stage.received(Transcript)


# -- turns


async def over(house):
    async with asyncio.timeout(10):
        return await house.room.turn_over()


async def answered(house, turn: str, *sounds: np.ndarray) -> None:
    """The router and the voice answer a turn."""
    for n, sound in enumerate(sounds):
        await house.say(turn, n, sound)
    await house.control(turn, "finish", sentences=len(sounds))


async def test_a_turn_is_over_when_all_of_its_answer_has_been_played(home):
    async with home(push_to_talk=True, blocks=3) as house:
        speak(house)
        turn = (await house.woken("heard")).envelope.turn
        ending = asyncio.create_task(over(house))
        await answered(house, turn, ANSWER)
        await house.phase(turn, "done", transcript="what time is it", reply="noon")
        await house.loudspeaker.reached(3)
        assert not ending.done()

        house.loudspeaker.allow(100)

        ended = await ending
        assert (ended.phase, ended.reply) == ("done", "noon")
        assert len(house.loudspeaker.sound) == len(ANSWER)


async def test_a_failed_turn_is_over_when_the_error_has_been_heard(home):
    async with home(push_to_talk=True) as house:
        speak(house)
        turn = (await house.woken("heard")).envelope.turn
        await house.phase(turn, "failed", error="It broke.")
        ending = asyncio.create_task(over(house))
        await answered(house, turn, ANSWER)

        assert (await ending).error == "It broke."
        assert len(house.loudspeaker.sound) == len(ANSWER)


async def test_a_cancelled_turn_is_over_at_once(home):
    async with home(push_to_talk=True) as house:
        turn = (await house.woken("wake")).envelope.turn
        await house.control(turn, "stop")
        await house.phase(turn, "cancelled")

        assert (await over(house)).phase == "cancelled"


async def test_another_turn_that_ends_is_not_ours(home):
    async with home(push_to_talk=True) as house:
        turn = (await house.woken("wake")).envelope.turn
        await house.phase("another", "failed", error="not ours")
        await house.control(turn, "finish")
        await house.phase(turn, "done")

        assert (await over(house)).turn_id == turn


async def test_barge_in_by_the_wake_word_stops_sound_within_a_block_and_begins_a_turn(home):
    async with home(wake=True, blocks=5) as house:
        house.microphone.hear(WAKE)
        speak(house)
        first = (await house.woken("heard")).envelope.turn
        await answered(house, first, np.full(32_000, 5, np.int16), ANSWER)
        await house.loudspeaker.reached(5)

        house.microphone.hear(WAKE)

        second = (await house.woken("wake")).envelope.turn
        while second == first:
            second = (await house.woken("wake")).envelope.turn
        stopped = await house.status("stopped")
        assert (stopped.envelope.turn, stopped.message.reason) == (first, "interrupted")
        house.loudspeaker.allow(1_000)
        await answered(house, second, np.full(640, 9, np.int16))
        await house.status("speaking_end")
        played = house.loudspeaker.sound
        assert len(played[played == 5]) <= 6 * 320
        assert played[-1] == 9


async def test_what_waits_comes_after_the_answer_to_who_has_just_begun_to_speak(home):
    async with home(wake=True, blocks=1) as house:
        await house.say("story", 0, np.full(3_200, 1, np.int16))
        await house.loudspeaker.reached(1)
        await house.say("timer", 0, np.full(320, 2, np.int16))
        await house.control("timer", "finish", sentences=1)
        house.microphone.hear(WAKE)
        speak(house)
        turn = (await house.woken("heard")).envelope.turn
        house.loudspeaker.allow(1_000)
        await answered(house, turn, np.full(320, 3, np.int16))
        await house.room.mouth.silent.wait()

        played = house.loudspeaker.sound
        assert played[played > 1].tolist() == [3] * 320 + [2] * 320


async def test_an_answer_to_an_earlier_turn_is_not_said_in_a_later_one(home):
    async with home(wake=True) as house:
        house.microphone.hear(WAKE)
        speak(house)
        first = (await house.woken("heard")).envelope.turn
        house.microphone.hear(WAKE)
        speak(house)
        second = (await house.woken("heard")).envelope.turn
        await answered(house, first, np.full(320, 1, np.int16))
        await answered(house, second, np.full(320, 2, np.int16))
        await house.room.mouth.silent.wait()

        assert set(house.loudspeaker.sound) == {2}


@pytest.mark.req("S08")
async def test_a_satellite_does_not_answer_its_own_voice(home):
    async with home(blocks=2) as house:
        await house.say("t", 0, ANSWER, sentences=1)
        await house.loudspeaker.reached(2)
        speak(house)
        await house.microphone.heard()
        house.loudspeaker.allow(100)
        await house.room.mouth.silent.wait()
        house.microphone.hear(LOUD, 280)
        house.microphone.hear(QUIET, 600)
        await house.microphone.heard()

        assert not [p for p in house.stage.broker.published if p.topic == "mynah/wake/event"]


async def test_where_no_echo_is_a_voice_interrupts(home):
    async with home(blocks=2, echo_free=True) as house:
        await house.say("t", 0, ANSWER, sentences=1)
        await house.loudspeaker.reached(2)
        speak(house)

        assert (await house.status("stopped")).envelope.turn == "t"


# -- what goes wrong


async def test_a_router_that_goes_away_ends_the_turn_audibly(home):
    async with home(push_to_talk=True) as house:
        speak(house)
        await house.woken("heard")
        house.router.say("down")

        assert (await over(house)).error == NO_ROUTER
        assert was_alarmed(house)


async def test_what_comes_of_a_turn_that_has_failed_is_not_said(home):
    async with home(push_to_talk=True) as house:
        speak(house)
        turn = (await house.woken("heard")).envelope.turn
        house.router.say("down")
        await over(house)
        length = len(house.loudspeaker.sound)
        await answered(house, turn, ANSWER)
        await house.say("other", 0, ANSWER, sentences=1)
        await house.status("speaking_end", "other")

        assert len(house.loudspeaker.sound) == length + len(ANSWER)


async def test_without_a_router_a_turn_fails_audibly_at_once(home):
    async with home(push_to_talk=True, router=False) as house:
        assert (await over(house)).error == NO_ROUTER
        assert was_alarmed(house)


async def test_another_router_that_goes_away_ends_nothing(home):
    async with home(push_to_talk=True) as house:
        turn = (await house.woken("wake")).envelope.turn
        other = Worker(Bus(Role.ROUTER, BusSettings(instance="other")))
        other.bus.use(house.stage.broker.link)
        async with other:
            pass
        await house.control(turn, "finish")
        await house.phase(turn, "done")

        assert (await over(house)).phase == "done"


async def test_a_turn_that_nobody_goes_on_with_fails_audibly(home):
    async with home(push_to_talk=True, patience_s=0.05) as house:
        speak(house)

        assert (await over(house)).error == NO_ANSWER
        assert was_alarmed(house)


async def test_an_answer_that_takes_long_to_say_is_not_given_up(home):
    async with home(push_to_talk=True, blocks=1) as house:
        turn = (await house.woken("wake")).envelope.turn
        await house.say(turn, 0, ANSWER)
        await house.loudspeaker.reached(1)
        house.room._too_late(turn)
        house.loudspeaker.allow(100)
        await house.control(turn, "finish", sentences=1)
        await house.phase(turn, "done")

        assert (await over(house)).phase == "done"


async def test_a_router_that_goes_away_after_its_answer_leaves_nobody_waiting(home):
    async with home(push_to_talk=True) as house:
        turn = (await house.woken("wake")).envelope.turn
        await house.say(turn, 0, ANSWER)
        await house.phase(turn, "done")
        await house.status("speaking_end")
        house.router.say("down")

        assert (await over(house)).phase == "done"
        assert not was_alarmed(house)


async def test_who_writes_into_a_fifo_may_be_another_one_for_each_question(tmp_path, transcriber, loud_is_voice):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"))
    room = Room(bus, "kitchen", PipeSource(fifo), NullSink(), lambda: Listener(loud_is_voice()))
    async with serving(Worker(Role.ROUTER), Worker(Role.STT, transcriber()), Worker(bus, room)) as stage:
        turns = set()
        for _ in range(2):
            await asyncio.to_thread(fifo.write_bytes, to_bytes(np.tile(LOUD, 20)))
            turns.add((await stage.received(Transcript)).envelope.turn)

    assert len(turns) == 2


@pytest.fixture
def listens_to_a_file(monkeypatch, tmp_path) -> Worker:
    """A satellite whose microphone is a frame of silence."""
    (tmp_path / "silence.wav").write_bytes(encode(QUIET, SAMPLE_RATE))
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path))
    monkeypatch.setenv("MYNAH_SATELLITE_SOURCE", str(tmp_path / "silence.wav"))
    return build()


async def test_a_satellite_whose_sound_has_ended_for_good_says_that_it_hears_nothing(listens_to_a_file):
    async with serving(listens_to_a_file) as stage:
        health = await stage.next(Health)
        while health.status != "degraded":
            health = await stage.next(Health)

    assert health.reason == DEAF


async def test_a_fifo_that_is_taken_away_ends_the_satellite_with_one_sentence(tmp_path, loud_is_voice):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"))
    room = Room(bus, "kitchen", PipeSource(fifo), NullSink(), lambda: Listener(loud_is_voice()))

    async def lose_it() -> None:
        async with serving(Worker(bus, room)):
            writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            await asyncio.to_thread(fifo.unlink)
            os.close(writer)
            await asyncio.get_running_loop().create_future()

    with pytest.raises(EngineFailed, match="fifo cannot be opened"):
        await lose_it()


async def test_a_source_that_cannot_be_read_is_one_sentence(tmp_path):
    bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"))
    room = Room(bus, "kitchen", FileSource(tmp_path / "none.wav"), NullSink(), make_listener)
    with pytest.raises(EngineFailed, match=r"none\.wav"):
        async with serving(Worker(bus, room)):
            pass


# -- real sound


@pytest.mark.model
@pytest.mark.parametrize("name", ["cmd_cancel_all_timers", "cmd_pause"])
async def test_a_recording_of_a_real_voice_becomes_one_turn_and_its_answer_a_file(voices, tmp_path, transcriber, name):
    from pathlib import Path

    question = Path(os.environ["MYNAH_MODELS_DIR"]) / "speech" / f"{name}.wav"
    answer = tmp_path / "answer.wav"
    bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"), where={"satellite": "kitchen"})
    source, sink = FileSource(question, paced=False), FileSink(answer)
    room = Room(bus, "kitchen", source, sink, make_listener, push_to_talk=True, watched=False)
    ears = transcriber()
    async with serving(Worker(Role.ROUTER), Worker(Role.STT, ears), Worker(bus, room)) as stage:
        turn = (await stage.received(Transcript)).envelope.turn
        with conversation(turn=turn):
            await stage.send(Speech(audio=ANSWER.tobytes(), satellite="kitchen", last=True))
            await stage.send(SatelliteControl(satellite="kitchen", action="finish", sentences=1))
        await stage.send(turn_done(turn))
        ended = await room.turn_over()

    assert ended.phase == "done"
    assert (await asyncio.to_thread(load, answer)).samples.tolist() == ANSWER.tolist()
    (recording,) = ears.recordings
    assert 0.3 * len(voices[name]) < len(recording.audio) / 2 <= len(voices[name]) + 16_000


def turn_done(turn: str):
    from mynah_contracts import TurnEvent

    return TurnEvent(turn_id=turn, phase="done")
