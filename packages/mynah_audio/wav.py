"""WAV files: their header read with care, and written."""

import struct
from dataclasses import dataclass
from typing import BinaryIO, Final

from mynah_audio.errors import AudioError
from mynah_audio.pcm import SAMPLE_RATE, Encoding, Layout, Samples, to_bytes

HEADER_BYTES: Final = 44
_UNKNOWN: Final = 0xFFFF_FFFF
_MOST_CHUNKS: Final = 1_000
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CHUNK: Final = struct.Struct("<4sI")
_FORMAT: Final = struct.Struct("<HHIIHH")
_EXTENSIBLE_BYTES: Final = 40
_GUID_TAIL: Final = bytes.fromhex("000000001000800000aa00389b71")

_ENCODINGS: Final = {
    (_PCM, 1): Encoding.U8,
    (_PCM, 2): Encoding.S16,
    (_PCM, 3): Encoding.S24,
    (_PCM, 4): Encoding.S32,
    (_FLOAT, 4): Encoding.F32,
    (_FLOAT, 8): Encoding.F64,
}
_COMPRESSIONS: Final = {
    0x0002: "ADPCM",
    0x0006: "A-law",
    0x0007: "mu-law",
    0x0011: "IMA ADPCM",
    0x0031: "GSM",
    0x0050: "MPEG",
    0x0055: "MP3",
    0x00FF: "AAC",
}
_OTHER_FILES: Final = {
    b"fLaC": "FLAC",
    b"OggS": "Ogg",
    b"ID3": "MP3",
    b"\xff\xfb": "MP3",
    b"\x1a\x45\xdf\xa3": "WebM",
    b"FORM": "AIFF",
    b"RIFX": "big-endian WAV",
}


@dataclass(frozen=True)
class WavHeader:
    """What a WAV says about itself."""

    layout: Layout
    size: int | None
    """Bytes of sound as declared; None when the writer did not know, so that sound goes on to the end."""


def read_header(stream: BinaryIO) -> WavHeader:
    """The header of a WAV; the stream, which must be seekable, then stands at the first frame. Raises AudioError."""
    start = stream.read(12)
    if not start:
        raise AudioError("empty", "the recording has 0 bytes")
    if start[:4] not in {b"RIFF", b"RF64"} or start[8:] != b"WAVE":
        raise AudioError("not_wav", f"this is {_name(start)}, not a WAV recording")
    (riff_size,) = struct.unpack("<I", start[4:8])
    layout: Layout | None = None
    for _ in range(_MOST_CHUNKS):
        head = stream.read(_CHUNK.size)
        if len(head) < _CHUNK.size:
            break
        name, size = _CHUNK.unpack(head)
        end = stream.tell() + size + size % 2
        if name == b"data" and layout is not None:
            return WavHeader(layout, _declared(size, riff_size, stream.tell()))
        if name == b"fmt ":
            layout = _read_layout(stream.read(min(size, _EXTENSIBLE_BYTES)))
        stream.seek(end)
    missing = "sound" if layout else "description of its format before its sound"
    raise AudioError("malformed", f"the WAV has no {missing}")


def make_header(samples: int | None, rate: int = SAMPLE_RATE) -> bytes:
    """The 44 bytes before mono 16-bit samples; None when their number is not known yet."""
    size = _UNKNOWN if samples is None else min(2 * samples, _UNKNOWN - HEADER_BYTES)
    riff_size = min(size + HEADER_BYTES - 8, _UNKNOWN)
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", riff_size, b"WAVE", b"fmt ", 16, _PCM, 1, rate, 2 * rate, 2, 16, b"data", size),
    )


def encode(samples: Samples, rate: int = SAMPLE_RATE) -> bytes:
    """Samples as a whole WAV file."""
    return make_header(len(samples), rate) + to_bytes(samples)


def _declared(size: int, riff_size: int, position: int) -> int | None:
    """Bytes of sound that start at a position; a writer into a pipe leaves 0 or the largest number."""
    is_unfinished = size == 0 and (riff_size == _UNKNOWN or riff_size + 8 <= position)
    return None if size == _UNKNOWN or is_unfinished else size


def _read_layout(chunk: bytes) -> Layout:
    if len(chunk) < _FORMAT.size:
        raise AudioError("malformed", f"the description of the WAV's format has only {len(chunk)} bytes")
    tag, channels, rate, _, frame_bytes, bits = _FORMAT.unpack_from(chunk)
    if tag == _EXTENSIBLE:
        if len(chunk) < _EXTENSIBLE_BYTES or chunk[26:40] != _GUID_TAIL:
            raise AudioError("unsupported", "the WAV is in an extended format that is not known here")
        (tag,) = struct.unpack("<H", chunk[24:26])
    if tag not in {_PCM, _FLOAT}:
        name = _COMPRESSIONS.get(tag, f"format {tag:#06x}")
        raise AudioError("unsupported", f"the WAV is compressed ({name}); only PCM and floats are read")
    # A sample of 12 or 20 bits sits in the upper bits of the next whole byte.
    encoding = _ENCODINGS.get((tag, (bits + 7) // 8))
    if encoding is None:
        raise AudioError("unsupported", f"WAV samples of {bits} bits are not known here")
    layout = Layout(rate, channels, encoding)
    if frame_bytes not in {0, layout.frame_bytes}:
        raise AudioError(
            "malformed", f"the WAV contradicts itself: {channels} x {bits} bits do not make {frame_bytes} bytes a frame"
        )
    return layout


def _name(start: bytes) -> str:
    return next((name for magic, name in _OTHER_FILES.items() if start.startswith(magic)), "something else")
