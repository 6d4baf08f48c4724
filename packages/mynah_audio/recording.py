"""Recordings as they come in: any WAV or raw samples, made 16 kHz mono within bounded time and memory."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np

from mynah_audio.errors import AudioError
from mynah_audio.pcm import SAMPLE_RATE, Buffer, Layout, Samples, decode
from mynah_audio.resample import Resampler
from mynah_audio.wav import WavHeader, read_header

LONGEST_S: Final = 120.0
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, eq=False)
class Recording:
    """Sound as the house wants it, and what it was made of."""

    samples: Samples
    """16 kHz, mono."""
    rate: int
    """Frames a second before."""
    duration: float
    """Seconds."""


def load(source: Buffer | Path, *, raw: Layout | None = None, limit_s: float = LONGEST_S) -> Recording:
    """The recording in a WAV, or in bare samples of the layout `raw`; from bytes or a file.

    What a header promises beyond the end of the data is ignored. Raises AudioError, also past `limit_s` seconds.
    """
    if isinstance(source, Path):
        try:
            if not source.is_file():
                raise AudioError("unreadable", f"{source} is not a file")
            with source.open("rb") as stream:
                return _load(stream, raw, limit_s)
        except OSError as error:
            raise AudioError("unreadable", f"{source} cannot be read: {error.strerror}") from error
    return _load(io.BytesIO(source), raw, limit_s)


def _load(stream: BinaryIO, raw: Layout | None, limit_s: float) -> Recording:
    header = read_header(stream) if raw is None else WavHeader(raw, None)
    layout = header.layout
    available = _bytes_left(stream)
    if raw is not None and not available:
        raise AudioError("empty", "the recording has 0 bytes")
    frames = (available if header.size is None else min(header.size, available)) // layout.frame_bytes
    if frames > limit_s * layout.rate:
        raise AudioError("too_long", f"the recording lasts {frames / layout.rate:.0f} s, the limit is {limit_s:g} s")
    resampler = Resampler(layout.rate, SAMPLE_RATE)
    block = _BLOCK_BYTES // layout.frame_bytes
    parts = [
        resampler.push(decode(stream.read(min(block, frames - done) * layout.frame_bytes), layout))
        for done in range(0, frames, block)
    ]
    return Recording(np.concatenate((*parts, resampler.finish())), layout.rate, frames / layout.rate)


def _bytes_left(stream: BinaryIO) -> int:
    position = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(position)
    return max(0, end - position)
