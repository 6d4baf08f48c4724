"""Chooses what of the found fits into the answer, and puts what was said around it beside it."""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from memory_worker.documents import ContextType, Document, token_count


class Row(NamedTuple):
    """A document as it stands in the file."""

    id: int
    message: str
    session: str
    turn: str
    speaker: str
    text: str
    ts: float


class Hit(NamedTuple):
    """A document that was found, and how well it fits: 0 to 1, or None."""

    row: Row
    score: float | None


Direction = Literal["previous", "next"]
Neighbours = Callable[[Row, Direction], Sequence[Row]]
"""What was said around a document in its session, the nearest first."""


class Selection(NamedTuple):
    """What goes into an answer."""

    documents: tuple[Document, ...]
    total_tokens: int
    truncated: bool


def select(hits: Sequence[Hit], max_tokens: int | None, neighbours: Neighbours | None) -> Selection:
    """As many hits as fit, in their order, then what surrounds them; each document once.

    What does not fit is left out whole. `neighbours` is None where the surroundings are not wanted.
    """
    budget = _Budget(max_tokens)
    # What was found goes before what surrounds it.
    targets = [hit for hit in hits if budget.takes(hit.row)]
    chosen: list[Document] = []
    for hit in targets:
        around: dict[Direction, list[Document]] = {"previous": [], "next": []}
        for direction, found in around.items():
            if neighbours is not None:
                found += [
                    _document(row, None, direction) for row in neighbours(hit.row, direction) if budget.takes(row)
                ]
        chosen += [*reversed(around["previous"]), _document(hit.row, hit.score, "target"), *around["next"]]
    return Selection(tuple(chosen), budget.used, budget.truncated)


class _Budget:
    """The tokens that may be used, and the documents that have been."""

    def __init__(self, most: int | None) -> None:
        self.used = 0
        self.truncated = False
        self._most = most
        self._taken: set[int] = set()

    def takes(self, row: Row) -> bool:
        """Whether a document is new and fits; if so, it is counted."""
        if row.id in self._taken:
            return False
        tokens = token_count(row.text)
        if self._most is not None and self.used + tokens > self._most:
            self.truncated = True
            return False
        self.used += tokens
        self._taken.add(row.id)
        return True


def _document(row: Row, score: float | None, context_type: ContextType) -> Document:
    return Document(
        id=row.message,
        text=row.text,
        speaker=row.speaker,
        ts=row.ts,
        score=score,
        context_type=context_type,
        token_count=token_count(row.text),
    )
