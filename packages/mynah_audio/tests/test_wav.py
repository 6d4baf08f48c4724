import io
import struct
import wave

import numpy as np
import pytest

from mynah_audio.errors import AudioError
from mynah_audio.pcm import Encoding, from_bytes
from mynah_audio.recording import load
from mynah_audio.wav import encode, read_header

SOUND = b"\x01\x00\x02\x00\x03\x00\x04\x00"


def samples_of(data):
    return load(data).samples.tolist()


def refusal_of(data):
    with pytest.raises(AudioError) as refused:
        load(data)
    return refused.value


def test_what_is_written_is_read():
    samples = np.arange(-500, 500, dtype=np.int16)
    assert np.array_equal(load(encode(samples)).samples, samples)


def test_what_is_written_is_a_wav_to_others():
    with wave.open(io.BytesIO(encode(from_bytes(SOUND), 22_050))) as read:
        assert read.getparams()[:4] == (1, 2, 22_050, 4)
        assert read.readframes(4) == SOUND


@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_encoding_is_read(encoding, extensible, channels, make_wav, wire, tone):
    sound = np.repeat(tone(440, 16_000, 0.1), channels)
    wav = make_wav(
        wire(sound, encoding),
        channels=channels,
        bits=8 * encoding.width,
        tag=3 if encoding in {Encoding.F32, Encoding.F64} else 1,
        extensible=extensible,
    )
    recording = load(wav)
    assert np.abs(recording.samples / 32_768 - sound[::channels]).max() <= (
        2**-7 if encoding is Encoding.U8 else 2**-15
    )


def test_samples_of_12_bits_fill_their_bytes_from_above(make_wav):
    assert samples_of(make_wav(SOUND, bits=12, frame_bytes=2)) == [1, 2, 3, 4]


def test_chunks_before_and_after_the_sound_are_skipped(make_wav):
    listed = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    assert samples_of(make_wav(SOUND, before=listed, after=listed)) == [1, 2, 3, 4]


@pytest.mark.req("F26")
@pytest.mark.parametrize("promised", [9, 1_000, 0x7FFF_F000, 0xFFFF_FFFE, 0xFFFF_FFFF])
def test_a_header_that_promises_too_much_is_read_to_the_end(promised, make_wav):
    assert samples_of(make_wav(SOUND, data_size=promised)) == [1, 2, 3, 4]


@pytest.mark.req("F26")
@pytest.mark.parametrize(
    ("data_size", "riff_size"), [(0, 0), (0, 36), (0, 0xFFFF_FFFF), (0xFFFF_FFFF, 0), (0xFFFF_FFFF, 0xFFFF_FFFF)]
)
def test_the_header_of_a_stream_is_read_to_the_end(data_size, riff_size, make_wav):
    assert samples_of(make_wav(SOUND, data_size=data_size, riff_size=riff_size)) == [1, 2, 3, 4]


def test_a_header_that_promises_less_is_believed(make_wav):
    assert samples_of(make_wav(SOUND, data_size=4)) == [1, 2]
    assert samples_of(make_wav(b"", after=b"LIST" + struct.pack("<I", 4) + b"abcd")) == []


def test_a_wav_of_more_than_4_gigabytes_is_read_to_the_end(make_wav):
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 80, 8, 4, 0)
    wav = make_wav(SOUND, magic=b"RF64", riff_size=0xFFFF_FFFF, data_size=0xFFFF_FFFF, before=sizes)
    assert samples_of(wav) == [1, 2, 3, 4]


@pytest.mark.req("F26")
def test_a_frame_that_is_cut_off_is_dropped(make_wav):
    assert samples_of(make_wav(SOUND[:-1])) == [1, 2, 3]
    assert samples_of(make_wav(SOUND[:-1], channels=2)) == [2]


@pytest.mark.req("F26")
def test_a_wav_without_a_frame_is_an_empty_recording(make_wav):
    recording = load(make_wav(b""))
    assert (len(recording.samples), recording.duration) == (0, 0.0)


@pytest.mark.req("F26")
def test_0_bytes_are_refused():
    assert refusal_of(b"").code == "empty"


@pytest.mark.parametrize(
    ("start", "name"),
    [(b"fLaC\0\0\0\x22", "FLAC"), (b"OggS", "Ogg"), (b"ID3\x04", "MP3"), (b"RIFX....WAVE", "big-endian WAV")],
)
def test_other_files_are_refused_by_their_name(start, name):
    error = refusal_of(start + bytes(40))
    assert error.code == "not_wav"
    assert name in str(error)


@pytest.mark.parametrize("data", [b"R", b"RIFF", b"RIFF\0\0\0\0AVI LIST", b"\x7fELF" + bytes(60)])
def test_what_is_no_wav_is_refused(data):
    assert refusal_of(data).code == "not_wav"


def test_a_wav_without_format_is_refused():
    assert refusal_of(b"RIFF\x0c\0\0\0WAVEdata\x04\0\0\0abcd").code == "malformed"
    assert refusal_of(b"RIFF\x04\0\0\0WAVE").code == "malformed"
    assert refusal_of(b"RIFF\x04\0\0\0WAVEfmt \x04\0\0\0abcd").code == "malformed"


def test_a_wav_without_sound_is_refused(make_wav):
    assert "no sound" in str(refusal_of(make_wav(b"")[:36]))


@pytest.mark.parametrize(
    ("tag", "name"), [(2, "ADPCM"), (6, "A-law"), (7, "mu-law"), (0x55, "MP3"), (0x1234, "0x1234")]
)
@pytest.mark.parametrize("extensible", [False, True])
def test_a_compressed_wav_is_refused_by_its_name(tag, name, extensible, make_wav):
    error = refusal_of(make_wav(SOUND, tag=tag, extensible=extensible))
    assert error.code == "unsupported"
    assert name in str(error)


@pytest.mark.req("F26")
@pytest.mark.parametrize("rate", [0, 1, 7_999, 192_001, 0xFFFF_FFFF])
def test_an_absurd_rate_is_refused(rate, make_wav):
    error = refusal_of(make_wav(SOUND, rate=rate))
    assert error.code == "unsupported"
    assert f"{rate} Hz" in str(error)


@pytest.mark.parametrize(("bits", "tag"), [(0, 1), (40, 1), (64, 1), (16, 3), (24, 3)])
def test_an_unknown_width_is_refused(bits, tag, make_wav):
    assert refusal_of(make_wav(SOUND, bits=bits, tag=tag)).code == "unsupported"


@pytest.mark.req("F26")
def test_stereo_declared_mono_is_refused_when_the_header_contradicts_itself(make_wav):
    error = refusal_of(make_wav(SOUND, channels=1, frame_bytes=4))
    assert error.code == "malformed"
    assert "contradicts itself" in str(error)


@pytest.mark.req("F26")
def test_a_chunk_of_2_gigabytes_is_not_believed(make_wav):
    huge = b"LIST" + struct.pack("<I", 0x8000_0000) + b"abcd"
    assert refusal_of(make_wav(SOUND, before=huge)).code == "malformed"


@pytest.mark.req("F26")
def test_the_sound_is_not_looked_for_without_end(make_wav):
    assert refusal_of(make_wav(SOUND, before=b"junk\0\0\0\0" * 1_000)).code == "malformed"
    assert samples_of(make_wav(SOUND, before=b"junk\0\0\0\0" * 900)) == [1, 2, 3, 4]


def test_the_stream_stands_at_the_first_frame_after_the_header(make_wav):
    stream = io.BytesIO(make_wav(SOUND))
    assert read_header(stream).size == len(SOUND)
    assert stream.read() == SOUND
