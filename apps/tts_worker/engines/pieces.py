"""Cuts long text into pieces that are spoken one after the other."""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 200
"""Characters in a piece: about 14 s of speech, which eSpeak makes in about 15 ms."""

# Where speech may be cut, the least audible place first: after a sentence, after a clause, between words.
PLACES = (
    re.compile(r"""[.!?…]["'”’)\]]*\s|[。！？]"""),  # noqa: RUF001  # stops of other scripts
    re.compile(r"[,;:]\s|[、，；：]"),  # noqa: RUF001  # commas of other scripts
    re.compile(r"\s"),
)


class Piece(NamedTuple):
    """Text to be spoken at once, at most LONGEST characters."""

    text: str
    ends_clause: bool
    """Whether a pause belongs after it: false where a sentence had to be cut."""


def pieces(text: str) -> Iterator[Piece]:
    """The text in order, cut at the best place that keeps each piece short; pieces of blanks are left out."""
    start = 0
    while start < len(text):
        end, ends_clause = _cut(text, start)
        if piece := text[start:end].strip():
            yield Piece(piece, ends_clause)
        start = end


def _cut(text: str, start: int) -> tuple[int, bool]:
    """Where the piece that begins at `start` ends, and whether a pause belongs there."""
    limit = start + LONGEST
    if limit >= len(text):
        return len(text), True
    for place in PLACES:
        ends = [match.end() for match in place.finditer(text, start, limit)]
        if ends:
            return ends[-1], place is not PLACES[-1]
    return limit, False
