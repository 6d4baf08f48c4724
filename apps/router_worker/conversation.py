"""What was said in each session: what the language model is reminded of, and what "repeat that" repeats."""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain

from mynah_contracts import ChatMessage

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Bounds:
    """How much is remembered, and for how long."""

    turns: int = 10
    """At most, of each session."""
    tokens: int = 2000
    """At most, of each session; a token is taken to be four characters."""
    idle_s: float = 600.0
    """A session in which nothing was said for this long is over."""
    sessions: int = 1000
    """At most; the one that was silent for longest goes first."""


@dataclass
class _Session:
    last_spoken: float = 0.0
    exchanges: deque[tuple[ChatMessage, ChatMessage]] = field(default_factory=deque)
    last_answer: str | None = None


class Conversations:
    """The sessions, apart from each other; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], bounds: Bounds | None = None) -> None:
        self._clock = clock
        self._bounds = bounds or Bounds()
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def __len__(self) -> int:
        self._forget_idle()
        return len(self._sessions)

    def remember(self, session: str, asked: str, heard: str, answer: str | None = None) -> None:
        """A turn is over: what was asked, what was heard of the answer, and the answer if more of it was there.

        What was asked without anything heard in return is not part of the history.
        """
        half = self._bounds.tokens * _CHARACTERS_PER_TOKEN // 2
        asked, heard = asked.strip()[:half], heard.strip()[:half]
        answer = heard if answer is None else answer.strip()[:half]
        self._forget_idle()
        known = self._sessions.pop(session, None) or _Session()
        self._sessions[session] = known
        known.last_spoken = self._clock()
        known.last_answer = answer or known.last_answer
        if asked and heard:
            known.exchanges.append(
                (ChatMessage(role="user", content=asked), ChatMessage(role="assistant", content=heard))
            )
            self._shorten(known.exchanges)
        while len(self._sessions) > self._bounds.sessions:
            self._sessions.popitem(last=False)

    def history(self, session: str) -> list[ChatMessage]:
        """What was said, oldest first: user and assistant by turns."""
        self._forget_idle()
        known = self._sessions.get(session)
        return list(chain.from_iterable(known.exchanges)) if known else []

    def last_answer(self, session: str) -> str | None:
        """What the assistant answered last, all of it."""
        self._forget_idle()
        known = self._sessions.get(session)
        return known.last_answer if known else None

    def _shorten(self, exchanges: deque[tuple[ChatMessage, ChatMessage]]) -> None:
        budget = self._bounds.tokens * _CHARACTERS_PER_TOKEN
        size = sum(map(_characters, exchanges))
        while len(exchanges) > self._bounds.turns or size > budget:
            size -= _characters(exchanges.popleft())

    def _forget_idle(self) -> None:
        oldest_kept = self._clock() - self._bounds.idle_s
        while self._sessions and next(iter(self._sessions.values())).last_spoken <= oldest_kept:
            self._sessions.popitem(last=False)


def _characters(exchange: tuple[ChatMessage, ChatMessage]) -> int:
    return sum(len(said.content) for said in exchange)
