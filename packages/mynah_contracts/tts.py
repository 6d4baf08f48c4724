"""Text to speech, and its playback."""

from typing import Literal

from pydantic import Field

from mynah_contracts.message import Command, Event, Frame, Name
from mynah_contracts.roles import Role


class Said(Event, topic="tts/said", by=Role.TTS, to=(Role.ROUTER, Role.SKILL)):
    """A sentence has been synthesised and sent to its loudspeaker."""

    n: int = 0
    pieces: int = 0
    audio_ms: float = 0.0
    ms: float = 0.0
    first_ms: float = 0.0
    """Time to the first piece."""


class Speech(Frame, Event, topic="satellite/{satellite}/play", by=Role.TTS, to=Role.SATELLITE):
    """A piece of a spoken sentence: mono 16-bit samples, played in order of `n`, then `seq`."""

    qos = 1
    expires = 30

    audio: bytes
    satellite: Name
    n: int = Field(default=0, ge=0)
    """Number of the sentence in its turn."""
    seq: int = Field(default=0, ge=0)
    last: bool = False
    """Whether it is the sentence's last piece."""
    sentences: int = Field(default=0, ge=0)
    """How many sentences its turn has, where that is known; 0: `finish` will tell."""
    sample_rate: int = Field(default=16_000, ge=8_000, le=48_000)


class Say(
    Command,
    topic="tts/say",
    by=(Role.ROUTER, Role.SKILL, Role.GUEST),
    to=Role.TTS,
    overheard_by=Role.MEMORY,
    reply=Said,
):
    """Speak a sentence at a satellite."""

    text: str = Field(max_length=20_000)
    satellite: Name = "default"
    n: int = Field(default=0, ge=0)
    voice: str | None = Field(default=None, max_length=64)
    purpose: Literal["answer", "filler", "error"] = "answer"
    """`filler`: until the answer is there; `error`: in its place. Only answers are worth remembering."""


class SpokenRecording(Frame, Event, topic="tts/recording", by=Role.TTS, to=(Role.SKILL,)):
    """A synthesised text as one WAV file."""

    qos = 1
    expires = 60

    audio: bytes
    audio_ms: float = 0.0
    ms: float = 0.0


class Synthesize(Command, topic="tts/synthesize", by=(Role.SKILL, Role.GUEST), to=Role.TTS, reply=SpokenRecording):
    """Speak a text into a WAV file."""

    text: str = Field(max_length=20_000)
    voice: str | None = Field(default=None, max_length=64)


class PlaybackStatus(Event, topic="tts/status", by=Role.SATELLITE, to=(Role.ROUTER, Role.SKILL)):
    """What a loudspeaker does."""

    event: Literal["speaking_start", "speaking_end", "paused", "resumed", "stopped"]
    satellite: Name
    n: int = 0
    """The sentence it is about."""
    heard_ms: float = 0.0
    """How much of that sentence has been heard."""
    reason: str = ""


class PlaybackControl(
    Event, topic="tts/control", by=(Role.SKILL, Role.GUEST), to=(Role.SATELLITE, Role.TTS, Role.ROUTER)
):
    """Pause, resume or stop what is being spoken, at one satellite or at all."""

    action: Literal["pause", "resume", "stop"]
    satellite: Name | Literal[""] = ""
    reason: str = Field(default="", max_length=200)
