"""The turn: one utterance and all it causes."""

from typing import Literal

from pydantic import Field

from mynah_contracts.envelope import Identifier
from mynah_contracts.message import Command, Event, Part
from mynah_contracts.roles import Role

Phase = Literal["listening", "transcribing", "thinking", "speaking", "done", "cancelled", "failed"]


class Step(Part):
    """A stretch of a turn; the steps of a turn add up to its total."""

    name: str
    ms: float = Field(ge=0)


class TurnEvent(Event, topic="turn/event", by=Role.ROUTER, to=(Role.SATELLITE, Role.SKILL)):
    """A turn has reached a phase."""

    turn_id: str
    satellite: str = ""
    phase: Phase
    step: str = ""
    """The step that ended with it."""
    ms: float = 0.0
    """How long that step took."""
    total_ms: float = 0.0
    transcript: str = ""
    intent: str = ""
    reply: str = ""
    error: str = ""
    steps: list[Step] = Field(default_factory=list)
    """All steps, once the turn has ended."""


class Answer(Event, topic="turn/answer", by=Role.ROUTER, to=Role.SKILL):
    """The answer to a question that was asked in writing."""

    reply: str
    turn_id: str
    intent: str = ""
    ms: float = 0.0
    steps: list[Step] = Field(default_factory=list)


class Ask(Command, topic="turn/ask", by=(Role.SKILL, Role.GUEST), to=Role.ROUTER, reply=Answer):
    """Ask the assistant in writing."""

    text: str = Field(min_length=1, max_length=20_000)
    user: Identifier = ""
