"""The spectrum of what is heard, for a picture of it."""

from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mynah_audio.pcm import SAMPLE_RATE, Samples, to_float

_WINDOW: Final = 1_024
_LOWEST_HZ: Final = 60.0
_FLOOR_DB: Final = -90.0


def levels(samples: Samples, bins: int = 64) -> NDArray[np.float32]:
    """Levels of the last 64 ms in bands from 60 Hz to 8 kHz, evenly spaced in pitch.

    0 is -90 dB and below, 1 a sine at full scale; missing samples count as silence.
    """
    recent = to_float(samples[-_WINDOW:])
    padded = np.pad(recent, (_WINDOW - len(recent), 0))
    window = np.hanning(_WINDOW)
    magnitudes = np.abs(np.fft.rfft(padded * window)) * (2 / window.sum())
    decibels = 20 * np.log10(np.maximum(magnitudes, 10 ** (_FLOOR_DB / 20)))
    loudest = np.array([decibels[low:high].max() for low, high in _bands(bins)])
    return np.clip(1 - loudest / _FLOOR_DB, 0, 1).astype(np.float32)


@lru_cache
def _bands(bins: int) -> tuple[tuple[int, int], ...]:
    """First and one past the last line of the transform in each band; the low bands share lines."""
    edges = np.geomspace(_LOWEST_HZ, SAMPLE_RATE / 2, bins + 1) * _WINDOW / SAMPLE_RATE
    return tuple((int(low), max(int(high), int(low) + 1)) for low, high in pairwise(edges))
