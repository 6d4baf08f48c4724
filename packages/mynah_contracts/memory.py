"""What is remembered, and who the assistant is."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from mynah_contracts.envelope import Identifier
from mynah_contracts.message import Command, Event, Part, State
from mynah_contracts.roles import Role

Strategy = Literal["hybrid", "recent", "similarity"]
Trait = Annotated[int, Field(ge=0, le=100)]


class Remembered(Part):
    """One thing that is remembered."""

    text: str
    score: float | None = Field(default=None, ge=0, le=1)
    ts: float = 0.0
    speaker: str = ""
    context: Literal["target", "previous", "next"] = "target"
    """Whether it matched, or stood beside a match."""
    tokens: int = 0


class MemoryResults(Event, topic="memory/results", by=Role.MEMORY, to=(Role.LLM, Role.SKILL)):
    """What was found, best first."""

    results: list[Remembered] = Field(default_factory=list)
    strategy: Strategy | Literal["lexical"] = "hybrid"
    """How it was found; `lexical`: by words alone, where no embedding model is there."""
    tokens: int = 0
    truncated: bool = False
    ms: float = 0.0
    """Time that searching took."""


class MemoryQuery(
    Command, topic="memory/query", by=(Role.LLM, Role.SKILL, Role.GUEST), to=Role.MEMORY, reply=MemoryResults
):
    """Find what is remembered about a text."""

    text: str = Field(max_length=20_000)
    top_k: int = Field(default=5, ge=1, le=50)
    user: Identifier = ""
    max_tokens: int | None = Field(default=None, ge=1, le=10_000)
    context_window: int = Field(default=0, ge=0, le=5)
    """How many neighbours of each match come along."""
    strategy: Strategy = "hybrid"


class MemoryChanged(Event, topic="memory/changed", by=Role.MEMORY, to=Role.SKILL):
    """How many memories were stored or forgotten."""

    stored: int = 0
    forgotten: int = 0


class MemoryStore(
    Command,
    topic="memory/store",
    by=(Role.SKILL, Role.GUEST, Role.ROUTER),
    to=Role.MEMORY,
    reply=MemoryChanged,
):
    """Remember a text."""

    text: str = Field(min_length=1, max_length=20_000)
    user: Identifier = ""
    speaker: Identifier = ""


class MemoryForget(Command, topic="memory/forget", by=(Role.SKILL, Role.GUEST), to=Role.MEMORY, reply=MemoryChanged):
    """Forget what holds every word of a text, or everything that is remembered of a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["text"],
                    "properties": {"text": {"type": "string", "minLength": 1}, "everything": {"const": False}},
                },
                {"required": ["everything"], "properties": {"text": {"type": "null"}, "everything": {"const": True}}},
            ]
        }
    )

    user: Identifier = ""
    text: str | None = Field(default=None, min_length=1, max_length=20_000)
    """Either this, or `everything`."""
    everything: bool = False
    """Whether all is to be forgotten; it must be said."""

    @model_validator(mode="after")
    def _says_what(self) -> Self:
        if self.everything is (self.text is not None):
            raise PydanticCustomError("what_to_forget", "say what is to be forgotten: a `text`, or `everything`: true")
        return self


class Character(State, topic="system/character/current", by=Role.MEMORY, to=Role.LLM):
    """Who the assistant is."""

    name: str
    description: str = ""
    system_prompt: str = ""
    traits: dict[str, Trait] = Field(default_factory=dict)
    voice: str = ""


class CharacterResult(Event, topic="character/result", by=Role.MEMORY, to=Role.SKILL):
    """The assistant's character, asked for or after a change."""

    name: str
    description: str = ""
    system_prompt: str = ""
    traits: dict[str, Trait] = Field(default_factory=dict)
    voice: str = ""


class CharacterGet(Command, topic="character/get", by=(Role.SKILL, Role.GUEST), to=Role.MEMORY, reply=CharacterResult):
    """Tell who the assistant is."""


class CharacterUpdate(
    Command, topic="character/update", by=(Role.SKILL, Role.GUEST), to=Role.MEMORY, reply=CharacterResult
):
    """Change the assistant's character; what is None stays."""

    name: str | None = Field(default=None, max_length=80)
    description: str | None = Field(default=None, max_length=2_000)
    system_prompt: str | None = Field(default=None, max_length=20_000)
    voice: str | None = Field(default=None, max_length=80)
    traits: dict[Annotated[str, Field(max_length=80)], Trait] = Field(default_factory=dict, max_length=50)
    reset_traits: bool = False
