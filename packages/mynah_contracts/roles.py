"""Who takes part: one broker user, and one set of rights, per role."""

from enum import StrEnum


class Role(StrEnum):
    """A part that is played on the bus; its value is also the broker's user name."""

    SATELLITE = "satellite"
    """The microphone and loudspeaker of a room."""
    STT = "stt"
    """Speech to text."""
    ROUTER = "router"
    """The conversation: turns, intents, timers."""
    LLM = "llm"
    """Thinks: language models and rules."""
    MEMORY = "memory"
    """Remembers what was said, and who the assistant is."""
    TTS = "tts"
    """Text to speech."""
    SKILL = "skill"
    """A worker of your own: hears what is said and may speak."""
    GUEST = "guest"
    """A person at a shell, with the command line or mosquitto's tools."""


WORKERS = tuple(role for role in Role if role is not Role.GUEST)
"""Every role that runs as a process of the fleet."""

OBSERVERS = (Role.GUEST,)
"""May hear every message but audio and the replies to others."""
