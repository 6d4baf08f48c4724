import base64
import io
import os
import wave
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_tasks.task_types import BadPayload
from mynah_tasks.task_types.audio import enhance, reduce_noise
from mynah_tasks.task_types.emotion import analyse

RATE = 16_000


def tones(seconds=2.0, rate=RATE):
    """Something like speech: a gliding tone that comes in bursts of 0.2 s."""
    time = np.arange(int(seconds * rate)) / rate
    glide = np.sin(2 * np.pi * (180 * time + 20 * np.sin(3 * time))) + 0.5 * np.sin(2 * np.pi * 540 * time)
    return (0.2 * glide * (np.sin(2 * np.pi * 2.5 * time) > 0)).astype(np.float32)


def with_noise(samples, snr_db, seed=7):
    noise = np.random.default_rng(seed).standard_normal(len(samples)).astype(np.float32)
    scale = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)
    return samples + noise * np.float32(scale)


def snr_db(clean, heard):
    """How much of what is heard is the clean sound, at whatever level."""
    part = (heard @ clean) / (clean @ clean) * clean
    return 10 * np.log10((part @ part) / np.square(heard - part).sum())


def wav(integers, rate=RATE, channels=1):
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(integers.astype("<i2").tobytes())
    return memory.getvalue()


@pytest.mark.req("STT-10", "ENG-03")
@pytest.mark.parametrize("loud", [0, 10])
def test_noise_becomes_less_and_the_sound_stays(loud):
    clean = tones()
    noisy = with_noise(clean, loud)
    result = enhance({"audio_data": noisy, "sample_rate": RATE})
    assert snr_db(clean, result["audio_data"]) > snr_db(clean, noisy) + 4
    assert result["noise_removed_db"] > 6


@pytest.mark.model
@pytest.mark.skipif("MYNAH_MODELS_DIR" not in os.environ, reason="MYNAH_MODELS_DIR is not set")
@pytest.mark.req("STT-10")
def test_real_speech_in_noise_becomes_clearer():
    speech = sorted(Path(os.environ["MYNAH_MODELS_DIR"], "speech").glob("cmd_*.wav"))[:5]
    gains = []
    for path in speech:
        with wave.open(str(path)) as file:
            clean = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
        noisy = with_noise(clean, 5)
        gains.append(snr_db(clean, reduce_noise(noisy, RATE)) - snr_db(clean, noisy))
    assert np.mean(gains) > 4


@pytest.mark.req("STT-10")
@pytest.mark.parametrize(("level", "decibels"), [(-1.0, -1.0), (-6.0, -6.0)])
def test_the_loudest_sample_is_brought_to_its_level(level, decibels):
    quiet = 0.01 * tones()
    result = enhance({"audio_data": quiet, "sample_rate": RATE, "noise_reduction": False, "peak_dbfs": level})
    assert 20 * np.log10(np.abs(result["audio_data"]).max()) == pytest.approx(decibels, abs=0.01)
    assert result["peak"] == pytest.approx(10 ** (level / 20))
    assert result["gain_db"] > 30


def test_what_is_switched_off_is_not_done():
    sound = with_noise(tones(), 10)
    result = enhance({"audio_data": sound, "sample_rate": RATE, "noise_reduction": False, "normalization": False})
    np.testing.assert_allclose(result["audio_data"], sound, atol=1e-6)
    assert (result["gain_db"], result["noise_removed_db"]) == (0.0, 0.0)


def test_silence_stays_silence():
    result = enhance({"audio_data": np.zeros(RATE, np.int16), "sample_rate": RATE})
    assert not result["audio_data"].any()


@pytest.mark.parametrize("level", [1e-6, 6.6e-41])
def test_what_is_nearly_silence_is_not_made_loud(level):
    result = enhance({"audio_data": [level] * 1000, "sample_rate": RATE, "noise_reduction": False})
    assert result["gain_db"] == 60
    assert result["peak"] == pytest.approx(1000 * level)


integers = (tones(0.2) * 32767).astype(np.int16)


@pytest.mark.parametrize(
    "recording",
    [
        integers,
        integers.astype(np.float64) / 32768,
        integers.tobytes(),
        wav(integers),
        base64.b64encode(wav(integers)).decode(),
        integers.tolist(),
        (integers / 32768).tolist(),
    ],
    ids=["int16 array", "float array", "PCM", "WAV", "base64 of a WAV", "list of integers", "list of floats"],
)
def test_a_recording_goes_out_in_the_form_in_which_it_came(recording):
    result = enhance({"audio_data": recording, "sample_rate": RATE, "noise_reduction": False, "normalization": False})
    back = result["audio_data"]
    assert type(back) is type(recording)
    if isinstance(recording, np.ndarray | list):
        assert np.asarray(back).dtype == np.asarray(recording).dtype
        np.testing.assert_allclose(back, recording, atol=1 if np.asarray(back).dtype.kind == "i" else 1e-4)
    else:
        assert len(back) == len(recording)
        assert back[:8] == recording[:8]
    assert result["duration"] == pytest.approx(0.2)


def test_the_sample_rate_of_a_wav_counts_and_stereo_is_mixed():
    stereo = np.stack([integers, integers], axis=1)
    result = enhance({"audio_data": wav(stereo, rate=8_000, channels=2), "sample_rate": 44_100})
    assert result["sample_rate"] == 8_000
    assert result["duration"] == pytest.approx(len(integers) / 8_000)


def header_that_lies():
    content = bytearray(wav(integers))
    content[40:44] = (2**31 - 1).to_bytes(4, "little")
    return bytes(content)


def test_a_wav_whose_header_lies_about_its_length_is_read_as_far_as_it_goes():
    result = enhance({"audio_data": header_that_lies(), "normalization": False})
    assert result["duration"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (b"", "1 to 30000000 samples, not 0"),
        (b"\x00", "even number of bytes"),
        (b"RIFF....WAVE", "the WAV cannot be read"),
        (wav(integers)[:30], "the WAV cannot be read"),
        (wav(integers, rate=1), "sample rate of 1 Hz"),
        ("no base64!", "must be base64"),
        ([1, "two"], "one row of numbers"),
        ([[1], [2, 3]], "nothing but numbers"),
        (np.zeros((2, 100)), "one row of numbers"),
        (np.array([np.nan, 1.0]), "no numbers"),
        (np.array([1e400]), "no numbers"),
        (None, "one row of numbers"),
        (np.broadcast_to(np.int16(0), 30_000_001), "samples, not 30000001"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_reason(recording, said):
    with pytest.raises(BadPayload, match=said) as caught:
        enhance({"audio_data": recording, "sample_rate": RATE})
    assert not caught.value.retryable


@pytest.mark.parametrize("size", [1, 2, 100, 511, 512, 4097, 600_000])
def test_a_recording_of_any_length_keeps_its_length(size):
    sound = with_noise(np.resize(tones(), size), 20)
    assert enhance({"audio_data": sound, "sample_rate": RATE})["audio_data"].shape == (size,)


def test_what_is_left_stays_where_it_was():
    sound = with_noise(np.zeros(RATE, np.float32) + 1e-9, 0)
    sound[5_000:5_400] = tones(0.025)[:400]
    sound[5_200] = 1.0
    assert np.abs(reduce_noise(sound, RATE)).argmax() == 5_200


def test_an_unknown_word_in_the_payload_is_an_error_and_not_ignored():
    with pytest.raises(BadPayload, match="AudioEnhancement cannot be made of the payload: noise: Extra"):
        enhance({"audio_data": integers, "noise": True})


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=6), st.integers(0, 300))
def test_a_wav_damaged_in_any_way_is_read_or_refused_and_nothing_else(damage, length):
    content = bytearray(wav(integers[:100]))
    for place, value in damage:
        content[place] = value
    with suppress(BadPayload):
        enhance({"audio_data": bytes(content[:length]), "sample_rate": RATE})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400) | st.text() | st.lists(st.integers() | st.floats() | st.none()))
def test_whatever_is_not_a_recording_is_refused_and_nothing_else(recording):
    with suppress(BadPayload):
        result = enhance({"audio_data": recording, "sample_rate": RATE})
        assert np.isfinite(result["peak"])
        analyse({"audio_data": recording, "sample_rate": RATE})
