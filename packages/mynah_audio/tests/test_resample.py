import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_audio.pcm import Encoding, from_float
from mynah_audio.recording import load
from mynah_audio.resample import Resampler

TONES = [
    (rate, hertz) for rate in (44_100, 48_000, 96_000) for hertz in range(9_000, 24_000, 1_000) if hertz < rate / 2
]


def resample(sound, *rates):
    """A whole sound at another rate."""
    resampler = Resampler(*rates)
    return np.concatenate((resampler.push(sound), resampler.finish()))


def decibels(sound):
    """Level without the ends, where a tone that is switched on or off is not a tone."""
    middle = np.asarray(sound, np.float64)[len(sound) // 5 : -len(sound) // 5]
    return 10 * np.log10(np.mean(middle**2) + 1e-12)


@pytest.mark.req("S07")
@pytest.mark.parametrize(("rate", "hertz"), TONES)
def test_a_tone_above_8_khz_is_suppressed_by_60_db(rate, hertz, tone):
    high = from_float(tone(hertz, rate, amplitude=0.9))
    assert decibels(high) - decibels(resample(high, rate, 16_000)) >= 60


@pytest.mark.req("S07")
@pytest.mark.parametrize("rate", [44_100, 48_000, 96_000])
def test_a_command_modulated_onto_a_high_carrier_is_not_heard(rate, tone):
    envelope = 0.5 + tone(400, rate, amplitude=0.4)
    hidden = from_float(envelope * tone(20_000, rate, amplitude=0.9))
    assert decibels(hidden) - decibels(resample(hidden, rate, 16_000)) >= 60


@pytest.mark.req("S07")
def test_a_high_tone_in_a_recording_is_suppressed_on_the_way_in(make_wav, wire, tone):
    wav = make_wav(wire(tone(20_000, 48_000, amplitude=0.9), Encoding.S24), rate=48_000, bits=24)
    assert decibels(load(wav).samples) < decibels(from_float(tone(20_000, 48_000, amplitude=0.9))) - 60


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("hertz", [100, 1_000, 3_400])
def test_what_can_be_heard_passes(rate, hertz, tone):
    sound = from_float(tone(hertz, rate))
    assert decibels(resample(sound, rate, 16_000)) == pytest.approx(decibels(sound), abs=0.1)


@pytest.mark.parametrize("rate", [22_050, 24_000, 48_000])
def test_there_and_back_is_the_same_sound(rate, tone):
    sound = from_float(tone(440, 16_000) + tone(3_000, 16_000, amplitude=0.2))
    back = resample(resample(sound, 16_000, rate), rate, 16_000)
    assert abs(len(back) - len(sound)) <= 1
    common = slice(500, len(sound) - 500)
    assert np.abs(back[common].astype(int) - sound[common]).max() <= 8


@given(
    st.lists(st.integers(0, 3_000), min_size=1, max_size=8),
    st.sampled_from([(48_000, 16_000), (8_000, 16_000), (22_050, 16_000), (16_000, 44_100), (16_000, 16_000)]),
)
@settings(derandomize=True, deadline=None, max_examples=60)
def test_a_stream_gives_the_same_as_the_whole(lengths, rates):
    sound = np.random.default_rng(1).integers(-20_000, 20_000, sum(lengths)).astype(np.int16)
    resampler = Resampler(*rates)
    pieces = [resampler.push(piece) for piece in np.split(sound, np.cumsum(lengths)[:-1])]
    streamed = np.concatenate((*pieces, resampler.finish()))
    assert np.array_equal(streamed, resample(sound, *rates))
    assert abs(len(streamed) - len(sound) * rates[1] / rates[0]) <= 1


def test_loud_sound_clips_and_does_not_wrap_round():
    square = np.tile(np.repeat(np.array([32_767, -32_768], np.int16), 100), 50)
    resampled = resample(square, 44_100, 16_000)
    settled = resampled[200:260].astype(int)
    assert np.abs(settled).max() == 32_768 or np.abs(settled).max() == 32_767
    assert np.abs(np.diff(np.sign(resampled[1_000:2_000]))).sum() < 200
