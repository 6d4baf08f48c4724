"""What is remembered, in one file: kept, searched, forgotten. Knows vectors, but no model that makes them.

Every method blocks, and may be called from any thread while the archive is open.
"""

import math
import sqlite3
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

from memory_worker.database import Database
from memory_worker.documents import Entry, Limits, Question, Results, StrategyUsed
from memory_worker.embedding import Vectors
from memory_worker.errors import MemoryStoreError
from memory_worker.lexical import Range, find
from memory_worker.recovery import Recovery, prepare
from memory_worker.rows import Allowed, count, insert, prune, remove, remove_about, remove_user, rows_of
from memory_worker.selection import Hit, select
from memory_worker.vectors import VectorIndex, missing, outdated, write_vectors
from memory_worker.words import words

# What sharing words adds to meaning the same.
WORDS_IN_COMMON = 0.25
# More than asked for is looked for, because the question itself may be among it.
SPARE = 20


class Undescribed(NamedTuple):
    """Documents that need a vector: row numbers and texts."""

    outdated: list[tuple[int, str]]
    missing: list[tuple[int, str]]


class Archive:
    """The file, and an index of its vectors if there is a model: `model` names it, `dimension` is that of its vectors.

    `recovery` says, once it is open, whether the file was damaged.
    """

    def __init__(
        self, path: Path, model: str, dimension: int, limits: Limits, *, now: Callable[[], float], patience_s: float
    ) -> None:
        self.recovery: Recovery | None = None
        self._path = path
        self._model = model
        self._limits = limits
        self._now = now
        self._patience_s = patience_s
        self._opened: Database | None = None
        self._vectors = VectorIndex(model, dimension)

    def __enter__(self) -> Self:
        """Open the file, make it, or set a damaged one aside; raises MemoryStoreError."""
        self.recovery = prepare(self._path, self._patience_s, self._now)
        self._opened = Database(self._path, self._patience_s)
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file, once the calls that run are done."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def insert(self, entry: Entry) -> int | None:
        """Keep a document: its row number, or None when it is blank or its message is known.

        Raises ValueError for a text that is too long, MemoryStoreError.
        """
        if len(entry.text) > self._limits.characters:
            raise ValueError(f"a text of {len(entry.text)} characters is too long to be remembered")
        if not entry.text.strip():
            return None
        with self._database.write() as connection:
            row = insert(connection, entry)
            if row is not None:
                prune(connection, row, self._limits, self._now())
            return row

    def describe(self, rows: list[int], vectors: Vectors) -> None:
        """Keep the vectors of some rows; raises MemoryStoreError."""
        with self._database.write() as connection:
            write_vectors(connection, self._model, rows, vectors)

    def undescribed(self, before: int, count: int) -> Undescribed:
        """At most `count` documents with the vector of another model, and as many below a row without any."""
        with self._database.read() as connection:
            return Undescribed(outdated(connection, self._model, count), missing(connection, before, count))

    def search(self, question: Question, vectors: Vectors | None) -> Results:
        """What a question finds; `vectors` has that of the question in its only row. Raises MemoryStoreError."""
        with self._database.read() as connection:
            within = rows_of(connection, question.user)
            if within is None:
                return Results((), 0, truncated=False, strategy_used=_strategy(question, vectors))
            age = self._limits.age_s
            allowed = Allowed(connection, within, question, -math.inf if age is None else self._now() - age)
            if question.strategy == "recent":
                hits = [Hit(row, None) for row in allowed.newest(question.top_k)]
            else:
                scores = self._scores(connection, within, question, vectors)
                hits = [Hit(row, scores[row.id]) for row in allowed.among(scores)]
                hits.sort(key=lambda hit: (hit.score, hit.row.id), reverse=True)
            around = partial(allowed.around, count=question.context_window) if question.context_window else None
            chosen = select(hits[: question.top_k], question.max_tokens, around)
            return Results(*chosen, strategy_used=_strategy(question, vectors))

    def forget(self, user: str, ids: Iterable[str] | None, session: str | None, before: float | None) -> int:
        """Remove what all of these apply to, from the disk as well; how many there were. Raises MemoryStoreError."""
        with self._database.write() as connection:
            within = rows_of(connection, user)
            removed = remove(connection, within, ids, session, before) if within else 0
        if removed:
            self._database.shred()
        return removed

    def forget_about(self, user: str, text: str) -> int:
        """Remove what holds every word of a text, from the disk as well; how many. Raises MemoryStoreError."""
        with self._database.write() as connection:
            within = rows_of(connection, user)
            removed = remove_about(connection, within, words(text)) if within else 0
        if removed:
            self._database.shred()
        return removed

    def forget_user(self, user: str) -> int:
        """Remove everything of a user, the name too; how many documents there were. Raises MemoryStoreError."""
        with self._database.write() as connection:
            removed = remove_user(connection, user)
        self._database.shred()
        return removed

    def count(self, user: str | None) -> int:
        """How many documents one user or everybody has. Raises MemoryStoreError."""
        with self._database.read() as connection:
            return count(connection, user)

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise MemoryStoreError("the memory is not open")
        return self._opened

    def _scores(
        self, connection: sqlite3.Connection, within: Range, question: Question, vectors: Vectors | None
    ) -> dict[int, float]:
        """Rows and how well they fit, 0 to 1: by meaning, and more for common words; by words alone without vectors."""
        most = question.top_k + SPARE
        if vectors is None:
            return find(connection, words(question.text), within, most)
        by_words = find(connection, words(question.text), within, most) if question.strategy == "hybrid" else {}
        by_meaning = self._vectors.search(connection, within, vectors[0], most, by_words)
        # A document without a vector yet is judged by its words.
        return {
            row: min(1.0, by_meaning.get(row, by_words.get(row, 0.0)) + WORDS_IN_COMMON * by_words.get(row, 0.0))
            for row in by_meaning | by_words
        }


def _strategy(question: Question, vectors: Vectors | None) -> StrategyUsed:
    return "lexical" if vectors is None and question.strategy != "recent" else question.strategy
