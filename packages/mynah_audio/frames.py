"""Frames: the 20 ms in which sound flows through the house."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from mynah_audio.pcm import Samples

FRAME_SAMPLES: Final = 320
"""Samples of one frame: 20 ms at 16 kHz."""


class Framer:
    """Cuts a stream of samples, in pieces of any length, into frames of one length."""

    def __init__(self, length: int = FRAME_SAMPLES) -> None:
        self._length = length
        self._rest: Samples = np.empty(0, np.int16)

    def push(self, samples: Samples) -> Iterator[Samples]:
        """The frames that are full now; what is left over waits for the next piece."""
        held = np.concatenate((self._rest, samples))
        whole = len(held) - len(held) % self._length
        self._rest = held[whole:]
        return iter(held[:whole].reshape(-1, self._length))

    def finish(self) -> Iterator[Samples]:
        """What is left over, filled up with silence: one frame or none."""
        rest, self._rest = self._rest, np.empty(0, np.int16)
        if len(rest):
            yield np.pad(rest, (0, self._length - len(rest)))
