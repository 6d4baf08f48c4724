"""Turns text into sound: what every speech engine offers, and how it fails."""

from collections.abc import Iterator
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

Chunk = NDArray[np.int16]
"""A piece of mono sound, shape (samples,), at the sample rate of the engine that made it."""


class SpeechError(Exception):
    """An engine could not speak; the message says why, for people."""


class EngineMissingError(SpeechError):
    """What the engine runs on is not installed; the message says how to install it."""


class UnknownVoiceError(SpeechError):
    """The engine has no voice of that name."""


class Synthesizer(Protocol):
    """Speaks; blocks, so it runs in a thread. Any number of threads may call it while it is open."""

    @property
    def sample_rate(self) -> int:
        """Samples per second of every chunk."""
        ...

    def __enter__(self) -> Self:
        """Open what the engine needs; raises SpeechError."""
        ...

    def __exit__(self, *error: object) -> None:
        """Stop, and let go of what was opened."""
        ...

    def voices(self) -> tuple[str, ...]:
        """The names that `synthesize` takes, sorted."""
        ...

    def synthesize(self, text: str, voice: str | None = None) -> Iterator[Chunk]:
        """The spoken text, chunk by chunk as it is made, the first one early; raises SpeechError at the call or later.

        Text without anything to say makes no chunk.
        """
        ...

    def stop(self) -> None:
        """End everything that is being spoken, within one chunk; what is asked for later is spoken."""
        ...
