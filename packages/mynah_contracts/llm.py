"""Thinking: language models and the embedded rules."""

from typing import Literal

from pydantic import Field

from mynah_contracts.envelope import Identifier
from mynah_contracts.message import Command, Event, Part, Stream
from mynah_contracts.roles import Role


class ChatMessage(Part):
    """One thing said in a conversation."""

    role: Literal["user", "assistant"]
    content: str = Field(max_length=100_000)


class LlmDelta(Stream, topic="llm/stream", by=Role.LLM, to=(Role.ROUTER, Role.SKILL)):
    """A piece of an answer that is still being thought of."""

    delta: str
    seq: int = 0
    last: bool = False
    """Nothing follows it; where that is not known in time, no piece is the last."""


class LlmResponse(Event, topic="llm/response", by=Role.LLM, to=(Role.ROUTER, Role.SKILL)):
    """A whole answer."""

    reply: str
    engine: str = ""
    model: str = ""
    rag: bool = False
    """Whether memories were at hand."""
    deltas: int = 0
    first_ms: float = 0.0
    """Time to the first piece."""
    ms: float = 0.0


class LlmRequest(
    Command,
    topic="llm/request",
    by=(Role.ROUTER, Role.SKILL, Role.GUEST),
    to=Role.LLM,
    reply=LlmResponse,
    parts=LlmDelta,
):
    """Answer a text."""

    text: str = Field(max_length=100_000)
    history: list[ChatMessage] = Field(default_factory=list, max_length=100)
    system: str = Field(default="", max_length=20_000)
    user: Identifier = ""
    """Whose memories may be used."""
    use_rag: bool = True
    rag_k: int = Field(default=5, ge=1, le=50)
    max_tokens: int = Field(default=256, ge=1, le=32_000)
    temperature: float = Field(default=0.7, ge=0, le=2)


class LlmCancel(Event, topic="llm/cancel", by=(Role.ROUTER, Role.SKILL, Role.GUEST), to=Role.LLM):
    """Stop thinking about a turn."""

    turn_id: Identifier
