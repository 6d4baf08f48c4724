from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_audio.endpoint import Endpointer, Endpointing, State
from mynah_audio.frames import Framer

FRAME = 320


def ms(milliseconds):
    return timedelta(milliseconds=milliseconds)


def samples_in(duration):
    return round(duration.total_seconds() * 16_000)


class Ramp:
    """Feeds an endpointer with sound in which every sample is its own number."""

    def __init__(self, endpointer, length=FRAME):
        self.endpointer = endpointer
        self.fed = 0
        self.length = length

    def feed(self, probability, milliseconds=20):
        """States after each frame, while the state is not final."""
        states = []
        for _ in range(milliseconds * 16 // self.length):
            if self.endpointer.state.is_final:
                break
            states.append(self.step(probability))
        return states

    def step(self, probability):
        frame = np.arange(self.fed, self.fed + self.length).astype(np.int16)
        self.fed += self.length
        return self.endpointer.push(frame, probability)


def test_speech_ends_after_half_a_second_of_silence():
    ramp = Ramp(Endpointer())
    assert set(ramp.feed(0.0, 1_000)) == {State.WAITING}
    assert ramp.feed(0.9, 400)[-1] is State.SPEECH
    assert set(ramp.feed(0.0, 480)) == {State.SPEECH}
    assert ramp.feed(0.0, 20) == [State.ENDED]


def test_the_recording_begins_with_the_pre_roll_and_ends_with_the_silence():
    ramp = Ramp(Endpointer())
    ramp.feed(0.0, 1_000)
    ramp.feed(0.9, 400)
    ramp.feed(0.0, 1_000)
    recording = ramp.endpointer.recording
    assert recording[0] == samples_in(ms(1_000 - 300))
    assert len(recording) == samples_in(ms(300 + 400 + 500))
    assert ramp.endpointer.spoken == samples_in(ms(300 + 400))


def test_a_click_is_not_speech_and_does_not_use_up_patience_for_what_follows():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 60)
    assert set(ramp.feed(0.0, 2_000)) == {State.WAITING}
    assert ramp.feed(0.9, 300)[-1] is State.SPEECH


def test_a_short_dip_does_not_interrupt_the_beginning():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 80)
    ramp.feed(0.0, 100)
    assert ramp.feed(0.9, 20) == [State.SPEECH]


def test_a_pause_shorter_than_the_silence_belongs_to_the_utterance():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    for _ in range(5):
        assert set(ramp.feed(0.0, 480)) == {State.SPEECH}
        ramp.feed(0.9, 20)
    assert ramp.feed(0.0, 500)[-1] is State.ENDED


def test_a_voice_that_becomes_uncertain_goes_on():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    assert set(ramp.feed(0.4, 2_000)) == {State.SPEECH}
    assert Ramp(Endpointer()).feed(0.4, 2_000)[-1] is State.WAITING


def test_patience_ends_when_nobody_speaks():
    ramp = Ramp(Endpointer(Endpointing(patience=ms(1_000))))
    assert set(ramp.feed(0.0, 980)) == {State.WAITING}
    assert ramp.feed(0.0, 20) == [State.NO_SPEECH]


def test_patience_does_not_end_in_the_first_word():
    ramp = Ramp(Endpointer(Endpointing(patience=ms(1_000))))
    ramp.feed(0.0, 940)
    assert set(ramp.feed(0.9, 80)) == {State.WAITING}
    assert ramp.feed(0.9, 20) == [State.SPEECH]


def test_endless_patience_keeps_no_more_than_the_pre_roll():
    ramp = Ramp(Endpointer(Endpointing(patience=None)))
    assert set(ramp.feed(0.0, 60_000)) == {State.WAITING}
    assert ramp.endpointer.length == samples_in(ms(300))


def test_endless_speech_is_cut():
    ramp = Ramp(Endpointer(Endpointing(longest=ms(2_000))))
    assert ramp.feed(0.9, 10_000)[-1] is State.TOO_LONG
    assert ramp.endpointer.length == samples_in(ms(2_000))


def test_a_whole_sentence_ends_sooner():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    ramp.feed(0.0, 100)
    ramp.endpointer.complete(ramp.endpointer.length)
    assert set(ramp.feed(0.0, 80)) == {State.SPEECH}
    assert ramp.feed(0.0, 20) == [State.ENDED]


def test_a_hint_that_comes_late_ends_at_the_next_frame():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    ramp.feed(0.0, 300)
    ramp.endpointer.complete(ramp.endpointer.length)
    assert ramp.feed(0.0, 20) == [State.ENDED]


def test_a_hint_counts_only_if_nobody_has_spoken_since():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    ramp.endpointer.complete(ramp.endpointer.length - 1)
    assert set(ramp.feed(0.0, 480)) == {State.SPEECH}
    ramp.endpointer.complete(ramp.endpointer.length)
    assert ramp.feed(0.9, 20) == [State.SPEECH]
    assert set(ramp.feed(0.0, 480)) == {State.SPEECH}


def test_what_comes_after_the_end_is_ignored_until_a_reset():
    ramp = Ramp(Endpointer())
    ramp.feed(0.9, 400)
    ramp.feed(0.0, 500)
    ended = ramp.endpointer.recording
    assert ramp.step(0.9) is State.ENDED
    assert np.array_equal(ramp.endpointer.recording, ended)
    ramp.endpointer.reset()
    assert ramp.endpointer.recording.size == 0
    assert ramp.feed(0.9, 400)[-1] is State.SPEECH


durations = st.integers(0, 40).map(lambda steps: ms(20 * steps))
any_settings = st.builds(
    Endpointing,
    silence=st.integers(5, 30).map(lambda steps: ms(20 * steps)),
    silence_when_complete=st.integers(1, 5).map(lambda steps: ms(20 * steps)),
    pre_roll=durations,
    hangover=st.integers(0, 10).map(lambda steps: ms(20 * steps)),
    shortest_speech=st.integers(0, 10).map(lambda steps: ms(20 * steps)),
    longest=st.integers(50, 100).map(lambda steps: ms(20 * steps)),
    patience=st.one_of(st.none(), durations),
)
runs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.2, 0.4, 0.6, 1.0]), st.integers(1, 30), st.sampled_from([None, 0, 300])),
    max_size=30,
)
lengths = st.sampled_from([100, 160, 320, 512])


@given(any_settings, runs, lengths)
@settings(derandomize=True, deadline=None, max_examples=100)
def test_every_course_of_speech_keeps_the_promises(chosen, course, length):
    endpointer = Endpointer(chosen)
    ramp = Ramp(endpointer, length)
    hinted = False
    for probability, count, hint in course:
        if hint is not None:
            endpointer.complete(max(0, endpointer.length - hint))
            hinted = True
        for _ in range(count):
            before = endpointer.state
            state = ramp.step(probability)
            held = endpointer.recording
            if before.is_final:
                assert state is before
                return
            assert (before, state) != (State.SPEECH, State.WAITING)
            assert len(held) == endpointer.length
            expected = np.arange(ramp.fed - len(held), ramp.fed).astype(np.int16)
            assert np.array_equal(held, expected), "the recording is the newest sound, without a hole"
            quiet = endpointer.length - endpointer.spoken
            if state is State.WAITING:
                most = chosen.pre_roll + chosen.shortest_speech + chosen.hangover
                assert len(held) < samples_in(most) + 2 * length
            elif state is State.ENDED:
                assert quiet >= samples_in(chosen.silence_when_complete if hinted else chosen.silence)
                assert quiet < max(samples_in(chosen.silence), samples_in(chosen.silence_when_complete)) + length
            elif state is State.TOO_LONG:
                assert len(held) >= samples_in(chosen.longest)
                assert before is State.SPEECH
            elif state is State.NO_SPEECH:
                assert before is State.WAITING
                assert ramp.fed >= samples_in(chosen.patience)


@given(any_settings, runs, lengths, st.sampled_from([0.0, 1.0]))
@settings(derandomize=True, deadline=None, max_examples=100)
def test_every_course_of_speech_ends_when_the_rest_is_silence_or_a_scream(chosen, course, length, rest):
    endpointer = Endpointer(chosen)
    ramp = Ramp(endpointer, length)
    for probability, count, _ in course:
        for _ in range(count):
            ramp.step(probability)
    longest = samples_in(chosen.longest) + samples_in(chosen.patience or ms(0)) + samples_in(chosen.silence)
    for _ in range(longest // length + 3):
        ramp.step(rest)
    is_still_silent = chosen.patience is None and endpointer.state is State.WAITING and rest == 0.0
    assert endpointer.state.is_final or is_still_silent


@pytest.mark.model
def test_every_real_command_is_one_utterance_with_all_of_its_voice(vad, speech):
    commands = [recording for recording in speech if recording.file.name.startswith("cmd_")]
    assert len(commands) == 27
    for command in commands:
        vad.reset()
        endpointer = Endpointer()
        sound = np.concatenate((command.samples, np.zeros(16_000, np.int16)))
        probabilities = [(frame, vad.push(frame)) for frame in Framer().push(sound)]
        voiced = [number for number, (_, probability) in enumerate(probabilities) if probability >= 0.5]
        pushed = 0
        while pushed < len(probabilities) and not endpointer.push(*probabilities[pushed]).is_final:
            pushed += 1
        assert endpointer.state is State.ENDED, command.text
        end = (pushed + 1) * FRAME
        lost = [number for number in voiced if not end - endpointer.length <= number * FRAME < end]
        assert len(lost) * ms(20) < Endpointing().shortest_speech, f"{command.text}: more than a click is outside"


@pytest.mark.model
def test_real_noise_is_never_speech(vad, speech):
    for noise in (recording for recording in speech if recording.file.name.startswith("noise")):
        vad.reset()
        endpointer = Endpointer(Endpointing(patience=None))
        states = {endpointer.push(frame, vad.push(frame)) for frame in Framer().push(noise.samples[: 16_000 * 10])}
        assert states == {State.WAITING}
