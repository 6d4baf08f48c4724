import numpy as np
import pytest

from mynah_audio.frames import Framer
from mynah_audio.vad import SileroVad


def activity(vad, samples):
    """The share of frames in which there is a voice."""
    vad.reset()
    return np.mean([vad.push(frame) >= 0.5 for frame in Framer().push(samples)])


@pytest.mark.model
def test_voices_are_told_from_noise(vad, speech):
    for recording in speech:
        name = recording.file.name
        if name.startswith("noise"):
            assert activity(vad, recording.samples[: 16_000 * 10]) < 0.01, name
        elif name.startswith(("cmd_what", "read_lj001_0002", "read_cards")):
            assert activity(vad, recording.samples) > 0.2, name


@pytest.mark.model
def test_the_length_of_the_pieces_does_not_matter(vad, speech):
    spoken = speech[0].samples[: 512 * 60]
    vad.reset()
    expected = [vad.push(chunk) for chunk in spoken.reshape(-1, 512)]
    vad.reset()
    heard = [vad.push(piece) for piece in spoken.reshape(-1, 128)][3::4]
    assert heard == expected
    assert max(expected) > 0.9


@pytest.mark.model
@pytest.mark.parametrize("lead", range(0, 512, 64))
def test_a_short_word_is_heard_wherever_its_windows_begin(lead, vad, speech):
    (word,) = (recording.samples for recording in speech if recording.file.name == "cmd_pause.wav")
    sound = np.concatenate((np.zeros(lead, np.int16), word))
    assert max(vad.push(frame) for frame in Framer().push(sound)) >= 0.5


@pytest.mark.model
def test_a_reset_forgets_the_stream(vad, speech):
    spoken = speech[0].samples[: 320 * 100].reshape(-1, 320)
    vad.reset()
    first = [vad.push(frame) for frame in spoken]
    vad.reset()
    assert [vad.push(frame) for frame in spoken] == first


def test_the_probability_stays_until_enough_sound_has_come():
    vad = SileroVad()
    assert vad.push(np.zeros(100, np.int16)) == 0.0
    assert vad.push(np.empty(0, np.int16)) == 0.0
    assert 0.0 < vad.push(np.zeros(2_000, np.int16)) < 0.5


@pytest.mark.req("F26")
@pytest.mark.parametrize("samples", [np.full(16_000, -32_768), np.tile([32_767, -32_768], 8_000), np.zeros(16_000)])
def test_extreme_sound_has_a_probability_too(vad, samples):
    assert 0.0 <= vad.push(samples.astype(np.int16)) <= 1.0
