import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mynah_audio.errors import AudioError
from mynah_audio.pcm import (
    SILENCE_DBFS,
    Encoding,
    Layout,
    decode,
    from_bytes,
    from_float,
    level,
    to_bytes,
    to_float,
)

ANY_SAMPLES = arrays(np.int16, st.integers(0, 400))


@given(ANY_SAMPLES)
@settings(derandomize=True, deadline=None)
def test_samples_survive_bytes_and_floats(samples):
    assert np.array_equal(from_bytes(to_bytes(samples)), samples)
    assert np.array_equal(from_float(to_float(samples)), samples)


def test_half_a_sample_at_the_end_is_dropped():
    assert from_bytes(b"\x01\x00\xff").tolist() == [1]


@pytest.mark.parametrize("encoding", Encoding)
def test_every_encoding_gives_the_same_sound(encoding, wire, tone):
    sound = tone(440, 16_000)
    decoded = decode(wire(sound, encoding), Layout(encoding=encoding))
    exact = 2**-7 if encoding is Encoding.U8 else 2**-15
    assert np.abs(to_float(decoded) - sound).max() <= exact


@pytest.mark.parametrize("encoding", Encoding)
def test_full_scale_stays_full_scale(encoding, wire):
    decoded = decode(wire(np.array([-1.0, 1.0, 0.0]), encoding), Layout(encoding=encoding))
    assert decoded[0] == -32_768
    assert decoded[1] >= 32_767 - (255 if encoding is Encoding.U8 else 0)
    assert decoded[2] == 0


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("channels", [1, 2, 6, 64])
def test_channels_are_averaged(encoding, channels, wire):
    sound = np.linspace(-0.5, 0.5, 10 * channels).reshape(10, channels)
    decoded = decode(wire(sound, encoding), Layout(channels=channels, encoding=encoding))
    assert np.abs(to_float(decoded) - sound.mean(axis=1)).max() <= (2**-7 if encoding is Encoding.U8 else 2**-15)


@pytest.mark.parametrize("dtype", ["<f4", "<f8"])
def test_floats_that_are_no_sound_become_silence_or_clip(dtype):
    strange = np.array([math.nan, -math.nan, math.inf, -math.inf, 5e-324, 1e-40, 3e38, -3e38, 1.5], dtype)
    encoding = Encoding.F32 if dtype == "<f4" else Encoding.F64
    expected = [0, 0, 32_767, -32_768, 0, 0, 32_767, -32_768, 32_767]
    assert decode(strange.tobytes(), Layout(encoding=encoding)).tolist() == expected


def test_an_infinite_channel_does_not_swallow_the_other():
    frame = np.array([math.inf, 0.0, math.nan, 0.5], "<f4")
    assert decode(frame.tobytes(), Layout(channels=2, encoding=Encoding.F32)).tolist() == [16_384, 8_192]


@given(st.binary(max_size=600), st.sampled_from(Encoding), st.integers(1, 64))
@settings(derandomize=True, deadline=None, max_examples=300)
def test_any_bytes_are_sound_in_any_layout(data, encoding, channels):
    layout = Layout(channels=channels, encoding=encoding)
    assert len(decode(data, layout)) == len(data) // layout.frame_bytes


@pytest.mark.req("F26")
@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (-1, 1), (7_999, 1), (192_001, 1), (16_000, 0), (16_000, 65)])
def test_absurd_layouts_are_refused(rate, channels):
    with pytest.raises(AudioError) as refused:
        Layout(rate, channels)
    assert refused.value.code == "unsupported"


def test_the_level_is_in_decibels_of_full_scale():
    assert level(np.full(100, -32_768, np.int16)) == pytest.approx(0.0)
    assert level(np.full(100, 3_277, np.int16)) == pytest.approx(-20.0, abs=0.01)


@pytest.mark.parametrize("samples", [[], [0] * 320])
def test_silence_has_the_lowest_level(samples):
    assert level(np.array(samples, np.int16)) == SILENCE_DBFS


@given(ANY_SAMPLES)
@settings(derandomize=True, deadline=None)
def test_the_level_is_always_a_number_in_its_range(samples):
    assert SILENCE_DBFS <= level(samples) <= 0.0


def test_an_error_survives_the_way_out_of_a_child_process():
    error = pickle.loads(pickle.dumps(AudioError("too_long", "the recording lasts 200 s")))
    assert (error.code, str(error)) == ("too_long", "the recording lasts 200 s")
