"""Speech to text."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from mynah_contracts.message import Command, Event, Frame, Name, State, Stream
from mynah_contracts.roles import Role

Language = Annotated[str, Field(min_length=2, max_length=16)]


class Transcript(Event, topic="stt/final", by=Role.STT, to=(Role.ROUTER, Role.MEMORY, Role.SATELLITE, Role.SKILL)):
    """What somebody said, once they have finished saying it; empty: nothing was understood."""

    text: str
    confidence: float = Field(default=0.0, ge=0, le=1)
    language: Language = "en"
    satellite: str = ""
    """Where it was said."""
    engine: str = ""
    mode: Literal["dictation", "grammar", ""] = ""
    """`grammar`: only sentences that the assistant knows can be understood."""
    audio_ms: float = 0.0
    ms: float = 0.0
    """Time that recognising took."""


class PartialTranscript(Stream, topic="stt/partial", by=Role.STT, to=(Role.SATELLITE, Role.SKILL)):
    """What has been understood so far."""

    text: str
    seq: int = 0
    satellite: str = ""
    complete: bool = False
    """Whether the words so far are a whole sentence that the assistant knows."""


class Transcribe(
    Frame, Command, topic="stt/transcribe", by=(Role.SATELLITE, Role.SKILL, Role.GUEST), to=Role.STT, reply=Transcript
):
    """Put a recording into words: a WAV of any rate, or 16 kHz mono 16-bit samples."""

    qos = 1
    expires = 60

    audio: bytes
    satellite: Name | Literal[""] = ""
    language: Language | None = None


class TranscribePart(
    Frame, Command, topic="stt/transcribe_part", by=Role.SATELLITE, to=Role.STT, reply=PartialTranscript
):
    """Put a recording that still grows into words, for people who watch and for an earlier end of speech."""

    qos = 0
    expires = 2

    audio: bytes
    seq: int = 0
    satellite: Name | Literal[""] = ""
    language: Language | None = None


class AudioLevels(Stream, topic="stt/audio_fft", by=Role.SATELLITE, to=Role.SKILL):
    """The spectrum of what a microphone hears, for a picture."""

    satellite: Name
    fft: list[Annotated[float, Field(ge=0, le=1)]] = Field(max_length=256)
    """Levels from low to high frequency, logarithmic, 0 to 1."""
    sample_rate: int = 16_000


class Vocabulary(State, topic="stt/vocabulary", by=Role.ROUTER, to=Role.STT):
    """Every sentence that the assistant knows, as a hassil intents dictionary: recognisers build a grammar of it."""

    language: Language = "en"
    intents: dict[str, JsonValue]
