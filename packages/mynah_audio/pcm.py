"""Samples: 16 kHz, mono, int16 inside Mynah; any width and any number of channels at its edges."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mynah_audio.errors import AudioError

SAMPLE_RATE: Final = 16_000
LOWEST_RATE: Final = 8_000
HIGHEST_RATE: Final = 192_000
MOST_CHANNELS: Final = 64
SILENCE_DBFS: Final = -120.0
FULL_SCALE: Final = 32_768

Buffer: TypeAlias = bytes | bytearray | memoryview
Samples: TypeAlias = NDArray[np.int16]
Floats: TypeAlias = NDArray[np.float32] | NDArray[np.float64]


class Encoding(StrEnum):
    """How a sample is stored, little-endian."""

    U8 = "u8"
    S16 = "s16"
    S24 = "s24"
    S32 = "s32"
    F32 = "f32"
    F64 = "f64"

    @property
    def width(self) -> int:
        """Bytes of one sample."""
        return int(self.value[1:]) // 8


@dataclass(frozen=True)
class Layout:
    """How sound is laid out in bytes; channels are interleaved."""

    rate: int = SAMPLE_RATE
    """Frames a second, 8,000 to 192,000."""
    channels: int = 1
    encoding: Encoding = Encoding.S16

    def __post_init__(self) -> None:
        if not LOWEST_RATE <= self.rate <= HIGHEST_RATE:
            raise AudioError(
                "unsupported", f"a rate of {self.rate} Hz is outside {LOWEST_RATE:,} to {HIGHEST_RATE:,} Hz"
            )
        if not 1 <= self.channels <= MOST_CHANNELS:
            raise AudioError("unsupported", f"{self.channels} channels are outside 1 to {MOST_CHANNELS}")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one frame: a sample of each channel."""
        return self.channels * self.encoding.width


def from_bytes(data: Buffer) -> Samples:
    """Samples of 16-bit little-endian bytes; half a sample at the end is dropped."""
    return np.frombuffer(data, dtype="<i2", count=len(data) // 2).astype(np.int16)


def to_bytes(samples: Samples) -> bytes:
    """Samples as 16-bit little-endian bytes."""
    return samples.astype("<i2", copy=False).tobytes()


def to_float(samples: Samples) -> NDArray[np.float32]:
    """Samples as floats from -1 up to, not including, 1."""
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def from_float(floats: Floats) -> Samples:
    """Samples of floats; what is beyond ±1 is clipped, what is not a number is silence."""
    return np.clip(np.rint(_bounded(floats) * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def decode(data: Buffer, layout: Layout) -> Samples:
    """Mono samples, at the rate of the layout, of bytes; an incomplete frame at the end is dropped."""
    frames = len(data) // layout.frame_bytes
    floats = _floats(memoryview(data)[: frames * layout.frame_bytes], layout.encoding)
    # Clipped before channels are mixed: one infinite channel must not swallow the others.
    return from_float(_bounded(floats).reshape(frames, layout.channels).mean(axis=1))


def level(samples: Samples) -> float:
    """Root mean square in dB of full scale: 0 is the loudest square wave, -120 silence."""
    if not samples.size:
        return SILENCE_DBFS
    power = float(np.mean(np.square(samples, dtype=np.float64))) / FULL_SCALE**2
    return max(SILENCE_DBFS, 10.0 * float(np.log10(power))) if power else SILENCE_DBFS


def _bounded(floats: Floats) -> Floats:
    return np.where(np.isnan(floats), 0.0, np.clip(floats, -1.0, 1.0))


def _floats(data: memoryview, encoding: Encoding) -> Floats:
    """Samples of all channels, one after another, of whole samples' bytes; full scale is ±1."""
    match encoding:
        case Encoding.U8:
            return (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
        case Encoding.S16:
            return np.frombuffer(data, "<i2").astype(np.float32) / 2**15
        case Encoding.S24:
            shifted = np.zeros((len(data) // 3, 4), np.uint8)
            shifted[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return shifted.view("<i4")[:, 0].astype(np.float32) / 2**31
        case Encoding.S32:
            return np.frombuffer(data, "<i4").astype(np.float32) / 2**31
        case Encoding.F32:
            return np.frombuffer(data, "<f4")
        case Encoding.F64:
            return np.frombuffer(data, "<f8")
