"""What of a recording is worth listening to."""

import numpy as np

from stt_worker.engines.silence import in_a_room, spoken, windows, without_silence

VOICE = (8_000 * np.sin(np.arange(16_000) / 10)).astype(np.int16)
SILENCE = np.zeros(16_000, np.int16)


def test_speech_is_found_where_it_is():
    speech = spoken(np.concatenate([SILENCE, VOICE, SILENCE]))

    assert (speech.start, speech.stop) == (16_000, 32_000)
    assert not spoken(SILENCE)
    assert not spoken(SILENCE[:10])


def test_the_silence_around_speech_goes_but_for_a_little():
    kept = without_silence(np.concatenate([SILENCE, VOICE, SILENCE, SILENCE]))

    assert kept.size == VOICE.size + 2 * 4_800
    assert without_silence(SILENCE).size == 0
    assert np.array_equal(without_silence(VOICE), VOICE)


def test_no_silence_in_a_room_is_perfect_and_it_is_the_same_room_every_time():
    heard = in_a_room(np.concatenate([VOICE, SILENCE]))

    assert heard.size == 2 * 16_000 + 2 * 4_000
    assert np.count_nonzero(heard) > 0.95 * heard.size
    assert np.array_equal(heard, in_a_room(np.concatenate([VOICE, SILENCE])))
    assert in_a_room(VOICE[:0]).size == 0


def test_a_long_recording_is_cut_where_it_is_quiet_and_nothing_of_it_is_lost():
    sentence = np.concatenate([VOICE, VOICE, SILENCE[:4_000]])
    recording = np.concatenate([sentence] * 30)

    parts = list(windows(recording, 10.0))

    assert np.array_equal(np.concatenate(parts), recording)
    assert max(part.size for part in parts) <= 160_000
    assert not any(np.any(part[:320]) for part in parts[1:])


def test_a_recording_without_a_pause_is_cut_all_the_same():
    recording = np.resize(VOICE, 16_000 * 25)

    parts = list(windows(recording, 10.0))

    assert np.array_equal(np.concatenate(parts), recording)
    assert max(part.size for part in parts) <= 160_000
