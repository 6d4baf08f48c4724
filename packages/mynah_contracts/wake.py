"""Wake words and the microphone."""

from typing import Literal

from pydantic import Field

from mynah_contracts.message import Event, Name
from mynah_contracts.roles import Role


class WakeEvent(Event, topic="wake/event", by=Role.SATELLITE, to=(Role.ROUTER, Role.SKILL)):
    """A satellite was woken, interrupted, or gave up; its turn travels in the envelope."""

    type: Literal["wake", "heard", "interrupt", "timeout", "resume", "cancelled", "error"]
    """`wake`: a turn begins; `heard`: its speech has ended; `interrupt`: somebody speaks over the answer; `resume`:
    they did not mean it; `timeout`: nobody spoke; `cancelled`, `error`: the satellite gave up."""
    satellite: Name
    cause: str = ""
    """The wake word, `push_to_talk`, or what went wrong."""
    confidence: float = Field(default=1.0, ge=0, le=1)
    energy: float = -120.0
    """Loudness in dBFS: the loudest of several satellites answers."""


class MicControl(Event, topic="wake/mic", by=(Role.SKILL, Role.GUEST), to=Role.SATELLITE):
    """Mute or unmute a microphone."""

    action: Literal["mute", "unmute"]
    satellite: Name | Literal[""] = ""
    reason: str = Field(default="", max_length=200)
