"""The order of speech: pieces arrive as they like and are played by turn, sentence and number."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from mynah_audio.pcm import SAMPLE_RATE, Samples

_REMEMBERED_TURNS: Final = 64
_WAITING_TURNS: Final = 128
_LEAST_COST_S: Final = 0.02
"""What an empty piece counts for, so that their number is bounded too."""


@dataclass(frozen=True, eq=False)
class Piece:
    """A piece of a spoken sentence."""

    turn: str
    n: int
    """Number of the sentence in its turn, from 0."""
    seq: int
    """Number of the piece in its sentence, from 0."""
    samples: Samples
    last: bool = False
    """Whether no piece of the sentence follows."""
    rate: int = SAMPLE_RATE

    @property
    def cost(self) -> float:
        """Seconds of the room in a playlist that it takes."""
        return max(_LEAST_COST_S, len(self.samples) / self.rate)


class Place(NamedTuple):
    """A place in a turn; places are played in ascending order."""

    n: int
    seq: int


class Verdict(StrEnum):
    """What became of a piece."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    """It is here already, or its place has been passed."""
    STALE = "stale"
    """Its turn is over."""
    FULL = "full"
    """There is no room; only the piece that is played next always has room."""


@dataclass
class _Turn:
    pieces: dict[Place, Piece] = field(default_factory=dict)
    """What is still to be played, from `next` on."""
    next: Place = field(default_factory=lambda: Place(0, 0))
    lengths: dict[int, int] = field(default_factory=dict)
    """Pieces of the sentences whose last piece has come."""
    sentences: int | None = None


class Playlist:
    """Puts pieces in order; turns are played one after another, in the order in which they were first heard of.

    A sentence that is synthesised again, because its worker died, goes on where it was.
    """

    def __init__(self, capacity: timedelta = timedelta(minutes=5)) -> None:
        self._capacity = capacity.total_seconds()
        self._turns: OrderedDict[str, _Turn] = OrderedDict()
        self._over: OrderedDict[str, None] = OrderedDict()
        self._seconds = 0.0

    @property
    def turn(self) -> str | None:
        """The turn that is played, or None."""
        return next(iter(self._turns), None)

    @property
    def waiting_for(self) -> Place | None:
        """The place of the turn's next piece; None without a turn or when all of it has been taken."""
        turn = self._head()
        return None if turn is None or _is_complete(turn) else turn.next

    @property
    def is_complete(self) -> bool:
        """Whether every announced sentence of the turn has been taken; `drop` then leads to the next turn."""
        turn = self._head()
        return turn is not None and _is_complete(turn)

    @property
    def is_announced(self) -> bool:
        """Whether it is known how many sentences the turn has."""
        turn = self._head()
        return turn is not None and turn.sentences is not None

    @property
    def gap(self) -> Place | None:
        """The missing piece that holds up others which are already here, or None."""
        turn = self._head()
        return None if turn is None or not turn.pieces or turn.next in turn.pieces else turn.next

    def add(self, piece: Piece) -> Verdict:
        """Put a piece in its place."""
        if piece.turn in self._over:
            return Verdict.STALE
        turn = self._find(piece.turn)
        if turn is None:
            return Verdict.FULL
        place = Place(piece.n, piece.seq)
        is_next = place == turn.next and piece.turn == self.turn
        is_known = place < turn.next or place in turn.pieces
        if not is_known and not is_next and self._seconds + piece.cost > self._capacity:
            return Verdict.FULL
        if piece.last and piece.n >= turn.next.n:
            turn.lengths.setdefault(piece.n, piece.seq + 1)
        if is_known:
            self._advance(turn)
            return Verdict.DUPLICATE
        turn.pieces[place] = piece
        self._seconds += piece.cost
        return Verdict.QUEUED

    def begin(self, turn: str) -> None:
        """Play this turn before those that wait, though nothing of it may have come yet."""
        if turn not in self._over:
            self._turns.setdefault(turn, _Turn())
            self._turns.move_to_end(turn, last=False)

    def announce(self, turn: str, sentences: int) -> Verdict:
        """Say how many sentences a turn has."""
        if turn in self._over:
            return Verdict.STALE
        found = self._find(turn)
        if found is None:
            return Verdict.FULL
        found.sentences = sentences
        return Verdict.QUEUED

    def take(self) -> Piece | None:
        """The next piece to play; None while it is missing."""
        turn = self._head()
        piece = None if turn is None else turn.pieces.pop(turn.next, None)
        if turn is None or piece is None:
            return None
        self._seconds -= piece.cost
        turn.next = Place(piece.n, piece.seq + 1)
        self._advance(turn)
        return piece

    def skip(self) -> Place | None:
        """Give up the piece that is missing and go on with the next one that is here; where that is, None without."""
        turn = self._head()
        if turn is None:
            return None
        place = min(turn.pieces, default=None)
        turn.next = place or turn.next
        return place

    def drop(self, turn: str) -> None:
        """End a turn: whatever else comes of it is stale."""
        dropped = self._turns.pop(turn, None)
        if dropped is not None:
            self._seconds -= sum(piece.cost for piece in dropped.pieces.values())
        self._over[turn] = None
        while len(self._over) > _REMEMBERED_TURNS:
            self._over.popitem(last=False)

    def _head(self) -> _Turn | None:
        return next(iter(self._turns.values()), None)

    def _find(self, name: str) -> _Turn | None:
        """The turn of that name, which waits at the end if it is new; None when too many wait."""
        if name not in self._turns and len(self._turns) > _WAITING_TURNS:
            return None
        return self._turns.setdefault(name, _Turn())

    def _advance(self, turn: _Turn) -> None:
        """Go to the next sentence if this one is over; a second synthesis may be shorter than what was played."""
        n, seq = turn.next
        if n in turn.lengths and seq >= turn.lengths[n]:
            del turn.lengths[n]
            turn.next = Place(n + 1, 0)
            for place in [place for place in turn.pieces if place < turn.next]:
                self._seconds -= turn.pieces.pop(place).cost


def _is_complete(turn: _Turn) -> bool:
    return turn.sentences is not None and turn.next.n >= turn.sentences
