import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynah_audio.errors import AudioError
from mynah_audio.pcm import Encoding, Layout, from_float
from mynah_audio.recording import Recording, load
from mynah_audio.wav import encode

GOOD = encode(np.arange(-100, 100, dtype=np.int16))


def outcome_of(data, **options):
    """The samples, or the error's code; anything else is a failure. The next good recording must work."""
    try:
        outcome = load(data, **options)
    except AudioError as error:
        outcome = error.code
    else:
        assert outcome.samples.dtype == np.int16
        assert outcome.samples.ndim == 1
        assert abs(len(outcome.samples) - outcome.duration * 16_000) <= 1
    assert load(GOOD).samples[0] == -100
    return outcome


@pytest.mark.req("F26")
@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
def test_every_rate_becomes_16_khz(rate, make_wav, wire, tone):
    recording = load(make_wav(wire(tone(1_000, rate), Encoding.S16), rate=rate))
    assert recording.rate == rate
    assert recording.duration == pytest.approx(0.5, abs=1e-4)
    assert abs(len(recording.samples) - 8_000) <= 1
    middle = recording.samples[1_000:7_000] / 32_768
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 16_000 / len(middle) == pytest.approx(1_000, abs=3)
    assert np.abs(middle).max() == pytest.approx(0.5, abs=0.005)


@pytest.mark.model
def test_a_real_recording_is_the_same_from_bytes_and_file(speech):
    file = next(recording.file for recording in speech if recording.file.name == "cmdtts_what_s_the_time.wav")
    from_file, from_bytes = load(file), load(file.read_bytes())
    assert np.array_equal(from_file.samples, from_bytes.samples)
    assert from_file.rate == 16_000
    assert len(from_file.samples) == from_file.duration * 16_000 > 8_000


@pytest.mark.model
def test_real_speech_at_another_rate_and_width_stays_the_same_speech(speech, make_wav, wire):
    from mynah_audio.resample import Resampler

    spoken = next(item.samples for item in speech if item.file.name == "cmdtts_what_s_the_time.wav")
    stereo = np.repeat(Resampler(16_000, 48_000).push(spoken) / 32_768, 2)
    back = load(make_wav(wire(stereo, Encoding.S24), rate=48_000, channels=2, bits=24)).samples
    # What is close to 8 kHz is lost to the filters; the rest must be there.
    assert np.corrcoef(back[: len(spoken)], spoken[: len(back)])[0, 1] > 0.99


@pytest.mark.parametrize(
    "data", [b"\x01\x00\x02\x00", bytearray(b"\x01\x00\x02\x00"), memoryview(b"\x01\x00\x02\x00\x03")]
)
def test_bare_samples_are_read_when_their_layout_is_told(data):
    assert load(data, raw=Layout()).samples.tolist() == [1, 2]


def test_bare_samples_of_another_rate_are_resampled():
    assert len(load(bytes(2 * 48_000), raw=Layout(48_000)).samples) == 16_000


@pytest.mark.req("F26")
@pytest.mark.parametrize(("data", "left"), [(b"", "empty"), (b"\x01", 0)])
def test_bare_samples_may_be_missing_or_odd(data, left):
    outcome = outcome_of(data, raw=Layout())
    assert outcome == left or len(outcome.samples) == left


@pytest.mark.req("F26")
def test_an_hour_is_refused_by_a_message_that_names_the_limit(make_wav):
    hour = make_wav(bytes(3_600 * 8_000), rate=8_000, bits=8)
    with pytest.raises(AudioError, match=r"lasts 3600 s, the limit is 120 s") as refused:
        load(hour)
    assert refused.value.code == "too_long"


def test_the_limit_can_be_changed(make_wav):
    wav = make_wav(bytes(2 * 16_000))
    assert load(wav, limit_s=1.0).duration == 1.0
    assert outcome_of(wav, limit_s=0.999) == "too_long"


@pytest.mark.req("F26")
def test_memory_stays_near_the_size_of_the_result(make_wav):
    two_minutes = make_wav(bytes(120 * 48_000 * 4), rate=48_000, channels=2)
    load(GOOD)
    tracemalloc.start()
    try:
        recording = load(two_minutes)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(recording.samples) == 120 * 16_000
    assert peak < 2.5 * recording.samples.nbytes + 16 * 2**20


@pytest.mark.req("F26")
def test_memory_does_not_follow_what_a_header_promises(make_wav):
    liar = make_wav(b"\x01\x00", data_size=0x7FFF_FFFF)
    load(GOOD)
    tracemalloc.start()
    try:
        assert load(liar).samples.tolist() == [1]
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name in ("missing.wav", ".", "fifo"):
        with pytest.raises(AudioError, match=str(tmp_path)) as refused:
            load(tmp_path / name)
        assert refused.value.code == "unreadable"


@pytest.mark.req("F26")
@pytest.mark.parametrize(
    "floats",
    [
        np.zeros(1_000),
        np.full(1_000, np.nan),
        np.full(1_000, np.inf),
        np.full(1_000, 1e-310),
        np.tile([9.0, -9.0], 500),
    ],
    ids=["zero", "nan", "inf", "denormal", "clipping"],
)
def test_strange_floats_are_a_recording(floats, make_wav):
    recording = outcome_of(make_wav(floats.astype("<f8").tobytes(), tag=3, bits=64, rate=44_100))
    assert isinstance(recording, Recording)
    assert np.isfinite(recording.samples).all()


ids = st.sampled_from([b"fmt ", b"data", b"LIST", b"ds64", b"fact", b"RIFF", b"\0\0\0\0"])
sizes = st.one_of(st.none(), st.sampled_from([0, 1, 15, 16, 18, 40, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
formats = st.builds(
    lambda tag, channels, rate, frame_bytes, bits, tail: (
        tag.to_bytes(2, "little")
        + channels.to_bytes(2, "little")
        + rate.to_bytes(4, "little")
        + bytes(4)
        + frame_bytes.to_bytes(2, "little")
        + bits.to_bytes(2, "little")
        + tail
    ),
    st.sampled_from([1, 3, 7, 0xFFFE]),
    st.sampled_from([0, 1, 2, 3, 64, 65_535]),
    st.sampled_from([0, 8_000, 16_000, 44_100, 192_000, 2**32 - 1]),
    st.sampled_from([0, 1, 2, 4, 8, 65_535]),
    st.sampled_from([0, 8, 16, 24, 32, 64, 65_535]),
    st.binary(max_size=24),
)
chunks = st.lists(
    st.builds(
        lambda name, size, body: name + (len(body) if size is None else size).to_bytes(4, "little") + body,
        ids,
        sizes,
        st.one_of(formats, st.binary(max_size=200)),
    ),
    max_size=6,
).map(b"".join)


@pytest.mark.req("F26")
@given(st.one_of(st.binary(max_size=400), st.binary(max_size=400).map(lambda rest: b"RIFF\x24\0\0\0WAVE" + rest)))
@settings(derandomize=True, deadline=None, max_examples=800)
def test_random_bytes_are_a_recording_or_a_clear_error(data):
    outcome_of(data)


@pytest.mark.req("F26")
@given(st.integers(0, 2**32 - 1), chunks)
@settings(derandomize=True, deadline=None, max_examples=1_000)
def test_random_chunks_are_a_recording_or_a_clear_error(riff_size, body):
    outcome_of(b"RIFF" + riff_size.to_bytes(4, "little") + b"WAVE" + body)


@pytest.mark.req("F26")
@given(st.data())
@settings(
    derandomize=True, deadline=None, max_examples=800, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_recording_is_a_recording_or_a_clear_error(make_wav, data):
    wav = bytearray(
        make_wav(
            data.draw(st.binary(max_size=300)),
            rate=data.draw(st.sampled_from([8_000, 16_000, 44_100, 192_000])),
            channels=data.draw(st.integers(1, 3)),
            bits=data.draw(st.sampled_from([8, 16, 24, 32])),
            extensible=data.draw(st.booleans()),
        )
    )
    for _ in range(data.draw(st.integers(1, 4))):
        wav[data.draw(st.integers(0, len(wav) - 1))] = data.draw(st.integers(0, 255))
    outcome_of(bytes(wav[: data.draw(st.integers(0, len(wav)))]))


@pytest.mark.req("F26")
@given(
    st.binary(max_size=400),
    st.builds(Layout, st.sampled_from([8_000, 16_000, 48_000]), st.integers(1, 64), st.sampled_from(Encoding)),
)
@settings(derandomize=True, deadline=None, max_examples=300)
def test_random_bare_samples_are_a_recording_or_a_clear_error(data, layout):
    assert (outcome_of(data, raw=layout) == "empty") == (not data)


def test_levels_above_full_scale_do_not_wrap_round(make_wav, wire):
    square = np.tile(np.repeat([1.0, -1.0], 100), 50)
    recording = load(make_wav(wire(square, Encoding.S16), rate=44_100))
    clipped = from_float(square)
    assert recording.samples.max() == clipped.max()
    assert recording.samples.min() == clipped.min()
