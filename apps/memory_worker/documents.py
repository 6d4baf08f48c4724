"""What is remembered, and what a question brings back."""

import math
from dataclasses import dataclass
from typing import Literal

ContextType = Literal["target", "previous", "next"]
Strategy = Literal["hybrid", "similarity", "recent"]
StrategyUsed = Literal["recent", "lexical"]

TOKENS_PER_WORD = 1.3
MOST_RESULTS = 50
WIDEST_CONTEXT = 5


@dataclass(frozen=True)
class Entry:
    """Something to be remembered; raises ValueError for a time that is none."""

    id: str
    """Of the message that it came with: a second one of the same user is the first one again."""
    text: str
    speaker: str
    ts: float
    """When it was said; seconds since 1970, UTC."""
    session: str = ""
    turn: str = ""
    user: str = ""
    """Whose memory it is: nobody else finds it."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.ts):
            raise ValueError("ts must be a number")


@dataclass(frozen=True)
class Question:
    """What is looked for; raises ValueError for numbers out of range."""

    text: str
    user: str = ""
    strategy: Strategy = "hybrid"
    """By words and meaning, by meaning alone, or the newest whatever they say; without a model, meaning is words."""
    top_k: int = 5
    """1 to 50 documents, besides those around them."""
    max_tokens: int | None = None
    context_window: int = 0
    """How many documents of the session come along on either side; 0 to 5."""
    without_turn: str = ""
    """The turn that the question belongs to, so that it does not find itself."""

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= MOST_RESULTS:
            raise ValueError(f"top_k must be between 1 and {MOST_RESULTS}")
        if not 0 <= self.context_window <= WIDEST_CONTEXT:
            raise ValueError(f"context_window must be between 0 and {WIDEST_CONTEXT}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError("max_tokens must be at least 1")


@dataclass(frozen=True)
class Document:
    """Something remembered, as an answer."""

    id: str
    """Of the message that it came with."""
    text: str
    speaker: str
    ts: float
    """When it was said; seconds since 1970, UTC."""
    score: float | None
    """How well it fits the question, 0 to 1; None where that was not asked."""
    context_type: ContextType
    """`target` was found; `previous` and `next` were said around it."""
    token_count: int


@dataclass(frozen=True)
class Results:
    """The answer to a question."""

    documents: tuple[Document, ...]
    """Best first; what was said around a target stands around it."""
    total_tokens: int
    truncated: bool
    """Whether something that was found did not fit into the tokens."""
    strategy_used: StrategyUsed
    """`lexical`: by words alone."""


@dataclass(frozen=True)
class Limits:
    """How much is kept."""

    documents: int = 200_000
    """For each user; the oldest go first."""
    age_s: float | None = None
    """What is older goes, whether or not there is room."""
    characters: int = 20_000
    """In one document; what is longer is refused."""


def token_count(text: str) -> int:
    """About how many tokens a model will make of a text."""
    return math.ceil(len(text.split()) * TOKENS_PER_WORD)
