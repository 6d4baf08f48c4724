"""What of a recording is worth listening to."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stt_worker.engines import SAMPLE_RATE, Samples

FRAME: Final = SAMPLE_RATE // 50
QUIET: Final = 0.05
"""What has less than this part of the speech's amplitude is silence."""
MARGIN: Final = 15
"""Frames of silence that stay around the speech: the recogniser wants some."""
SEARCHED: Final = 250
"""Frames at the end of a window in which the quietest place to cut is looked for."""


def without_silence(audio: Samples) -> Samples:
    """The recording without the silence around the speech; nothing of it if all of it is silent."""
    loudness = _loudness(audio)
    if not loudness.size:
        return audio[:0]
    loud = np.flatnonzero(loudness > max(QUIET * np.percentile(loudness, 95), 1.0))
    if not loud.size:
        return audio[:0]
    return audio[max(0, loud[0] - MARGIN) * FRAME : (loud[-1] + 1 + MARGIN) * FRAME]


def windows(audio: Samples, longest_s: float) -> Iterator[Samples]:
    """The recording in parts of at most so many seconds, cut where it is quiet."""
    longest = int(longest_s * SAMPLE_RATE)
    while audio.size > longest:
        tail = _loudness(audio[:longest])[-SEARCHED:]
        cut = longest - (tail.size - int(tail.argmin())) * FRAME
        yield audio[: cut or longest]
        audio = audio[cut or longest :]
    if audio.size:
        yield audio


def _loudness(audio: Samples) -> NDArray[np.float64]:
    """Root of the mean square of each whole frame."""
    frames = audio[: audio.size // FRAME * FRAME].reshape(-1, FRAME)
    loudness: NDArray[np.float64] = np.sqrt(np.mean(np.square(frames, dtype=np.float64), axis=1))
    return loudness
