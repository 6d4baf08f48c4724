"""Answers in words: what every language engine takes and gives, and how it fails."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal, Protocol, Self


class ModelError(Exception):
    """An engine could not answer, or not to the end; the message says why, for people."""


@dataclass(frozen=True)
class Turn:
    """One thing said earlier in the conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True)
class Memory:
    """One thing said long ago, by the person or by the assistant."""

    text: str
    speaker: Literal["user", "assistant"] = "user"


@dataclass(frozen=True)
class Prompt:
    """What an engine is asked."""

    text: str
    history: tuple[Turn, ...] = ()
    """Oldest first, without `text`."""
    system: str = ""
    memories: tuple[Memory, ...] | None = None
    """What is remembered about the text, best first; None when the memory could not be asked."""
    max_tokens: int = 256
    """At most so many deltas come back; positive."""
    temperature: float = 0.7
    """0 (always the same) to 2; an engine without chance ignores it."""


class LanguageModel(Protocol):
    """Answers prompts; any number at once while it is open."""

    async def __aenter__(self) -> Self:
        """Open what the engine needs; raises ModelError."""
        ...

    async def __aexit__(self, *error: object) -> None:
        """Let go of it."""
        ...

    def stream(self, request: Prompt) -> AsyncIterator[str]:
        """The answer, delta by delta; their concatenation is the whole text. Raises ModelError at any delta."""
        ...
