from datetime import timedelta

import numpy as np
import pytest

from mynah_audio.endpoint import Endpointing
from mynah_audio.frames import Framer
from mynah_audio.vad import SileroVad
from mynah_audio.wake import Detection, MicroWakeWord
from satellite.listener import Listener, NothingHeard, Partial, SpeechStarted, Utterance, WakeHeard

LOUD = np.full(320, 8_000, np.int16)
QUIET = np.zeros(320, np.int16)


class LoudIsVoice:
    """A voice detector for which every loud sample is a voice."""

    def push(self, samples):
        return float(samples.max(initial=0) > 1_000)

    def reset(self):
        """Nothing is remembered."""


class WakesAt:
    """A wake word that is heard in frames of one certain value."""

    def __init__(self, value=77):
        self.value = value
        self.resets = 0

    def push(self, samples):
        return Detection("okay_nabu", 0.9) if samples[0] == self.value else None

    def reset(self):
        self.resets += 1


WAKE = np.full(320, 77, np.int16)


def feed(listener, frame, milliseconds):
    return [event for _ in range(milliseconds // 20) for event in listener.push(frame)]


def kinds(events):
    return [type(event) for event in events]


def test_speech_becomes_an_utterance():
    listener = Listener(LoudIsVoice())
    assert feed(listener, QUIET, 1_000) == []
    assert kinds(feed(listener, LOUD, 280)) == [SpeechStarted]
    *_, utterance = feed(listener, LOUD, 120) + feed(listener, QUIET, 500)
    assert isinstance(utterance, Utterance)
    assert len(utterance.samples) == 16 * (300 + 400 + 500)
    assert utterance.silence == timedelta(milliseconds=500)
    assert not utterance.is_cut


@pytest.mark.req("FUT-05")
def test_partials_grow_while_somebody_speaks():
    listener = Listener(LoudIsVoice())
    events = feed(listener, LOUD, 3_100)
    partials = [event for event in events if isinstance(event, Partial)]
    assert [len(partial.samples) for partial in partials] == [16 * 600 * number for number in range(1, 6)]
    assert [partial.seq for partial in partials] == [1, 2, 3, 4, 5]


def test_a_pause_brings_a_partial_at_once_and_only_one():
    listener = Listener(LoudIsVoice())
    feed(listener, LOUD, 700)
    assert feed(listener, QUIET, 80) == []
    (partial,) = feed(listener, QUIET, 20)
    assert len(partial.samples) == 16 * 800
    assert feed(listener, QUIET, 380) == []


def test_a_whole_sentence_ends_after_less_silence():
    listener = Listener(LoudIsVoice())
    feed(listener, LOUD, 700)
    (partial,) = feed(listener, QUIET, 100)
    listener.complete(partial.seq)
    assert feed(listener, QUIET, 80) == []
    (utterance,) = feed(listener, QUIET, 20)
    assert utterance.silence == timedelta(milliseconds=200)


def test_a_hint_for_the_utterance_before_is_ignored():
    listener = Listener(LoudIsVoice())
    feed(listener, LOUD, 700)
    partial, _ = feed(listener, QUIET, 500)
    feed(listener, LOUD, 700)
    listener.complete(partial.seq)
    assert kinds(feed(listener, QUIET, 480)) == [Partial]
    assert kinds(feed(listener, QUIET, 20)) == [Utterance]


def test_without_a_wake_word_one_utterance_follows_the_other_and_nobody_is_pressed():
    listener = Listener(LoudIsVoice())
    for _ in range(3):
        assert feed(listener, QUIET, 20_000) == []
        assert kinds(feed(listener, LOUD, 400) + feed(listener, QUIET, 500)) == [
            SpeechStarted,
            Partial,
            Partial,
            Utterance,
        ]


@pytest.mark.req("WAK-01")
def test_nothing_is_listened_to_before_the_wake_word():
    listener = Listener(LoudIsVoice(), wake=WakesAt())
    assert feed(listener, LOUD, 2_000) == []
    assert not listener.is_listening
    (heard,) = listener.push(WAKE)
    assert isinstance(heard, WakeHeard)
    assert (heard.phrase, heard.confidence) == ("okay_nabu", 0.9)
    assert listener.is_listening


def test_the_wake_word_is_as_loud_as_the_last_second():
    listener = Listener(LoudIsVoice(), wake=WakesAt())
    feed(listener, QUIET, 3_000)
    feed(listener, LOUD, 980)
    (heard,) = listener.push(WAKE)
    assert heard.energy == pytest.approx(20 * np.log10(8_000 / 32_768), abs=0.2)


def test_the_utterance_begins_after_the_wake_word_and_another_needs_another():
    wake = WakesAt()
    listener = Listener(LoudIsVoice(), wake=wake)
    listener.push(WAKE)
    feed(listener, QUIET, 200)
    *_, utterance = feed(listener, LOUD, 400) + feed(listener, QUIET, 500)
    assert len(utterance.samples) == 16 * (200 + 400 + 500)
    assert not listener.is_listening
    assert wake.resets
    assert feed(listener, LOUD, 2_000) == []


def test_who_is_woken_and_hears_nothing_says_so_and_sleeps():
    listener = Listener(LoudIsVoice(), wake=WakesAt(), endpointing=Endpointing(patience=timedelta(seconds=2)))
    listener.push(WAKE)
    assert feed(listener, QUIET, 1_980) == []
    assert feed(listener, QUIET, 20) == [NothingHeard()]
    assert not listener.is_listening


def test_a_button_opens_the_ears_as_the_wake_word_does():
    listener = Listener(LoudIsVoice(), wake=WakesAt())
    listener.listen()
    assert kinds(feed(listener, LOUD, 400)) == [SpeechStarted]


def test_who_is_told_to_sleep_forgets_what_was_said():
    listener = Listener(LoudIsVoice(), wake=WakesAt())
    listener.listen()
    feed(listener, LOUD, 400)
    listener.sleep()
    assert feed(listener, QUIET, 2_000) == []
    assert listener.finish() == ()


def test_an_utterance_that_grows_too_long_is_cut():
    listener = Listener(LoudIsVoice(), endpointing=Endpointing(longest=timedelta(seconds=2)))
    events = feed(listener, LOUD, 2_000)
    assert isinstance(events[-1], Utterance)
    assert events[-1].is_cut
    assert len(events[-1].samples) == 32_000


def test_what_was_being_said_when_the_sound_ends_is_an_utterance():
    listener = Listener(LoudIsVoice())
    feed(listener, LOUD, 400)
    (utterance,) = listener.finish()
    assert utterance.is_cut
    assert len(utterance.samples) == 16 * 400


def test_a_sound_that_ends_without_speech_is_nothing():
    listener = Listener(LoudIsVoice())
    feed(listener, QUIET, 400)
    assert listener.finish() == (NothingHeard(),)


@pytest.fixture(scope="module")
def vad():
    return SileroVad()


def listen_to(listener, sound):
    framer = Framer()
    frames = [*framer.push(sound), *framer.finish()]
    return [event for frame in frames for event in listener.push(frame)] + list(listener.finish())


@pytest.mark.model
def test_a_real_wake_word_and_a_real_command_become_one_utterance_of_the_command(vad, voices):
    listener = Listener(vad, wake=MicroWakeWord())
    rest = np.zeros(16_000, np.int16)
    names = sorted(name for name in voices if name.startswith("cmd_"))[::4]
    assert len(names) == 7
    for name in names:
        vad.reset()
        voiced = [number for number, frame in enumerate(Framer().push(voices[name])) if vad.push(frame) >= 0.5]
        before = np.concatenate((rest, voices["wake_okay_nabu_1"]))
        events, ends = [], []
        for number, frame in enumerate(Framer().push(np.concatenate((before, voices[name], rest))), start=1):
            for event in listener.push(frame):
                events.append(event)
                ends.append(320 * number - len(before))
        heard = [event for event in events if not isinstance(event, Partial)]
        assert kinds(heard) == [WakeHeard, SpeechStarted, Utterance], name
        assert not events[-1].is_cut
        assert ends[-1] - len(events[-1].samples) <= 320 * voiced[0] + 640, name
        assert ends[-1] >= 320 * voiced[-1], name


@pytest.mark.model
def test_real_commands_one_after_another_are_told_apart(vad, voices):
    names = [name for name in voices if name.startswith("cmd_what")]
    pause = np.zeros(12_000, np.int16)
    sound = np.concatenate([part for name in names for part in (voices[name], pause)])
    events = listen_to(Listener(vad), sound)
    utterances = [event for event in events if isinstance(event, Utterance)]
    assert len(utterances) == len(names) >= 4


@pytest.mark.model
def test_real_noise_is_nothing(vad, voices):
    assert listen_to(Listener(vad), voices["noise_kitchen"][: 16_000 * 10]) == [NothingHeard()]


@pytest.mark.model
def test_a_whole_sentence_shortens_the_wait_after_a_real_command(vad, voices):
    waits = []
    for is_hinted in (False, True):
        listener = Listener(vad)
        utterance = None
        for frame in Framer().push(np.concatenate((voices["cmdtts_what_s_the_time"], np.zeros(16_000, np.int16)))):
            for event in listener.push(frame):
                if isinstance(event, Partial) and is_hinted:
                    listener.complete(event.seq)
                utterance = event if isinstance(event, Utterance) else utterance
        assert utterance is not None
        waits.append(utterance.silence)
    assert waits == [timedelta(milliseconds=500), timedelta(milliseconds=200)]
