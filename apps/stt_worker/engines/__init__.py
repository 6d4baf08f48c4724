"""Engines that turn speech into text; none of them knows the bus."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""16 kHz, mono, signed 16 bit, shape (samples,)."""
Metrics = dict[str, float | str]

SAMPLE_RATE = 16_000


class Transcription(NamedTuple):
    """What was said."""

    text: str
    """Empty when nothing was understood."""
    confidence: float
    """0 to 1; what is below 0.5 is not believed, and its text is empty."""
    metrics: Metrics
    """How it was understood: at least `engine`, `mode` ("grammar" or "dictation") and `audio_s`."""


class Partial(NamedTuple):
    """What has been said so far, while the speaker may go on."""

    text: str
    is_complete: bool
    """Whether the text is a whole sentence, so that little silence is enough to end it."""


class Learned(NamedTuple):
    """What an engine made of a vocabulary."""

    mode: str
    """How it will listen: "grammar" or "dictation"."""
    words: int
    templates: int
    lost_templates: int
    """How many of the templates have no sentence that it could recognise."""
    dropped: dict[str, str]
    """By piece of a template or word that it cannot recognise: why."""


class SpeechTranscriber(Protocol):
    """Understands recorded speech; synchronous, one call at a time, in the process that opened it and ends with it."""

    def open(self) -> Self:
        """Load what is needed; raises EngineUnavailable."""

    def learn(self, intents: Mapping[str, Any] | None) -> Learned:
        """Expect the sentences of a hassil intents dictionary, or anything if None; raises EngineError."""

    def transcribe(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Transcription:
        """The words in a recording of any length; raises EngineError."""

    def partial(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Partial:
        """The words in the beginning of a recording."""
