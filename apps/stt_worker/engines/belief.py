"""Whether what a grammar made of a recording was said at all: a grammar alone always finds one of its sentences.

Measured on 203 recordings (tests/test_recordings.py): the mean likelihood of the words tells best. Short sentences
fit noise more easily, so that they need a better likelihood; a word that lasts much longer than its sounds take has
swallowed something else.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Final, NamedTuple

BELIEVED: Final = 0.5
"""Confidence from which on a sentence counts as said."""
LEAST_LIKELY: Final = -5.5
FRAMES_FOR_FREE: Final = 30.0
STEEPNESS: Final = 2.0
FRAMES_A_SOUND: Final = 15.0


class Word(NamedTuple):
    """A word that was heard."""

    label: str
    frames: int
    """How long it took, in hundredths of a second."""
    sounds: int
    """How many phones it is made of."""
    log_likelihood: float
    """Of the whole word, against the likeliest sounds of any kind in the same frames."""


def confidence(words: Sequence[Word]) -> float:
    """0 to 1; from BELIEVED on the words were said."""
    if not words:
        return 0.0
    frames = sum(word.frames for word in words)
    likelihood = fmean(word.log_likelihood / word.frames for word in words) - FRAMES_FOR_FREE / frames
    believed = 1 / (1 + math.exp(STEEPNESS * (LEAST_LIKELY - likelihood)))
    haste = FRAMES_A_SOUND * sum(word.sounds for word in words) / frames
    return believed if haste >= 1 else min(believed, BELIEVED * haste)
