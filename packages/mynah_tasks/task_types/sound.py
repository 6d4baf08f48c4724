"""Recordings as tasks carry them: WAV or PCM in bytes or base64, arrays, lists of numbers."""

import base64
import binascii
import io
import wave
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, SkipValidation

from mynah_tasks.task_types.typed import BadPayload

Recording: TypeAlias = Annotated[Any, SkipValidation]
"""WAV or signed 16-bit PCM as bytes or base64; int16 or float samples (-1 to 1) as array or list. Stereo is mixed."""
LOWEST_RATE, HIGHEST_RATE = 4_000, 384_000
SampleRate: TypeAlias = Annotated[int, Field(ge=LOWEST_RATE, le=HIGHEST_RATE)]
Samples: TypeAlias = NDArray[np.float32]
"""Shape (samples,), values from -1 to 1."""

LONGEST = 30_000_000
"""Samples: ten minutes at 48 kHz."""
FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Sound:
    """One channel of sound, and in which form it came."""

    samples: Samples
    sample_rate: int
    source: Any = None

    @classmethod
    def decode(cls, recording: Any, sample_rate: int) -> "Sound":
        """Understand a recording; a WAV's own sample rate counts, otherwise the given one.

        Raises:
            BadPayload: it is none, is empty, longer than ten minutes, or holds what is no number.
        """
        samples, rate = _read(recording, sample_rate)
        _check_length(len(samples))
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise BadPayload(f"a sample rate of {rate} Hz is outside of {LOWEST_RATE} to {HIGHEST_RATE}")
        return cls(samples, rate, recording)

    def encode(self, samples: Samples) -> Any:
        """Other samples in the form in which this sound came."""
        integers = np.round(np.clip(samples, -1, 1) * (FULL_SCALE - 1)).astype("<i2")
        if isinstance(self.source, np.ndarray):
            return samples.astype(self.source.dtype) if self.source.dtype.kind == "f" else integers.astype(np.int16)
        if isinstance(self.source, list):
            floating = any(isinstance(value, float) for value in self.source)
            return (samples if floating else integers).tolist()
        is_text = isinstance(self.source, str)
        content = base64.b64decode(self.source) if is_text else bytes(self.source)
        content = _wav(integers, self.sample_rate) if content.startswith(b"RIFF") else integers.tobytes()
        return base64.b64encode(content).decode() if is_text else content


def _read(recording: Any, sample_rate: int) -> tuple[Samples, int]:
    if isinstance(recording, str):
        try:
            recording = base64.b64decode(recording, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadPayload("a recording that is text must be base64") from error
    if isinstance(recording, bytes | bytearray | memoryview):
        content = bytes(recording)
        return _read_wav(content) if content.startswith(b"RIFF") else (_from_pcm(content), sample_rate)
    try:
        values = np.asarray(recording)
    except ValueError as error:
        raise BadPayload("a recording that is a list must hold nothing but numbers") from error
    if values.ndim != 1 or values.dtype.kind not in "if":
        raise BadPayload(f"a recording is one row of numbers, not {values.dtype} of shape {values.shape}")
    _check_length(len(values))
    if not np.isfinite(values).all():
        raise BadPayload("the recording holds values that are no numbers")
    scale = 1.0 if values.dtype.kind == "f" else FULL_SCALE
    return np.clip(values / scale, -1, 1).astype(np.float32), sample_rate


def _read_wav(content: bytes) -> tuple[Samples, int]:
    try:
        with wave.open(io.BytesIO(content)) as file:
            channels, width, rate = file.getnchannels(), file.getsampwidth(), file.getframerate()
            frames = file.readframes(min(file.getnframes(), LONGEST + 1))
    except (wave.Error, EOFError, RuntimeError) as error:  # the last when its chunks reach beyond its end
        raise BadPayload(f"the WAV cannot be read: {error or 'it ends too early'}") from error
    if width != 2:  # noqa: PLR2004  # bytes of a 16-bit sample
        raise BadPayload(f"a WAV must have 16 bits per sample, not {8 * width}")
    samples = _from_pcm(frames[: len(frames) - len(frames) % (2 * channels)])
    return samples.reshape(-1, channels).mean(axis=1, dtype=np.float32), rate


def _check_length(samples: int) -> None:
    if not 0 < samples <= LONGEST:
        raise BadPayload(f"a recording has 1 to {LONGEST} samples, not {samples}")


def _from_pcm(content: bytes) -> Samples:
    if len(content) % 2:
        raise BadPayload("PCM of 16 bits has an even number of bytes")
    _check_length(len(content) // 2)
    return np.frombuffer(content, "<i2").astype(np.float32) / np.float32(FULL_SCALE)


def _wav(integers: NDArray[np.int16], sample_rate: int) -> bytes:
    memory = io.BytesIO()
    with wave.open(memory, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(integers.tobytes())
    return memory.getvalue()
