"""What can go wrong in an engine.

EngineError              expected: this recording or this engine will not do
├── EngineUnavailable    a library or a model is missing; says how to get it
├── LanguageUnknown      the engine does not understand this language
├── BadWords             no grammar can be made of a vocabulary
└── BadAudio             not 16 kHz mono 16-bit samples
"""


class EngineError(Exception):
    """An engine could not do what it was asked for; `retryable` says whether another one might."""

    retryable = False


class EngineUnavailable(EngineError):
    """A library or a model is missing."""

    retryable = True


class LanguageUnknown(EngineError):
    """The engine does not understand this language."""


class BadWords(EngineError):
    """No grammar can be made of a vocabulary."""


class BadAudio(EngineError):
    """The samples are not 16 kHz mono 16-bit."""
