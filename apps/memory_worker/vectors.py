"""Vectors in the file, and a copy of them in memory that is searched."""

import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from memory_worker.database import USER_BITS
from memory_worker.embedding import Vectors
from memory_worker.lexical import Range

FIRST_ROWS = 1_024


class Shelf:
    """The vectors of one user: a matrix that grows."""

    def __init__(self, dimension: int) -> None:
        self._rows: dict[int, int] = {}
        self._ids = np.zeros(FIRST_ROWS, np.int64)
        self._matrix = np.zeros((FIRST_ROWS, dimension), np.float32)

    def put(self, document: int, vector: NDArray[np.float32]) -> None:
        """Add the vector of a document, or replace it."""
        row = self._rows.setdefault(document, len(self._rows))
        if row == len(self._ids):
            self._ids = np.concatenate((self._ids, np.zeros_like(self._ids)))
            self._matrix = np.concatenate((self._matrix, np.zeros_like(self._matrix)))
        self._ids[row], self._matrix[row] = document, vector

    def closest(self, wanted: NDArray[np.float32], count: int, also: Iterable[int]) -> dict[int, float]:
        """The documents closest to a vector, and those of `also`, with their similarity from 0 to 1."""
        size = len(self._rows)
        similarity = np.clip(self._matrix[:size] @ wanted, 0.0, 1.0)
        best = np.argpartition(-similarity, count - 1)[:count] if count < size else np.arange(size)
        rows = {*best.tolist(), *(self._rows[document] for document in also if document in self._rows)}
        return {int(self._ids[row]): float(similarity[row]) for row in rows}


class VectorIndex:
    """Keeps up with the file by reading what is new in it, whoever wrote it, and all of it after a removal."""

    def __init__(self, model: str, dimension: int) -> None:
        self._model = model
        self._dimension = dimension
        self._lock = threading.Lock()
        self._forgotten = -1
        self._last = 0
        self._shelves: defaultdict[int, Shelf] = self._empty()

    def search(
        self,
        connection: sqlite3.Connection,
        within: Range,
        wanted: NDArray[np.float32],
        count: int,
        also: Iterable[int],
    ) -> dict[int, float]:
        """One user's documents closest to a vector, and those of `also`, with their similarity from 0 to 1."""
        with self._lock:
            self._catch_up(connection)
            shelf = self._shelves.get(within.first >> USER_BITS)
            return shelf.closest(wanted, count, also) if shelf else {}

    def _catch_up(self, connection: sqlite3.Connection) -> None:
        forgotten = connection.execute("SELECT forgotten FROM changes").fetchone()[0]
        if forgotten != self._forgotten:
            self._shelves, self._last, self._forgotten = self._empty(), 0, forgotten
        rows = connection.execute(
            "SELECT number, document, vector FROM vectors WHERE number > ? AND model = ? ORDER BY number",
            (self._last, self._model),
        )
        for number, document, vector in rows:
            self._shelves[document >> USER_BITS].put(document, np.frombuffer(vector, np.float32))
            self._last = number

    def _empty(self) -> defaultdict[int, Shelf]:
        return defaultdict(lambda: Shelf(self._dimension))


def write_vectors(connection: sqlite3.Connection, model: str, documents: list[int], vectors: Vectors) -> None:
    """Keep the vectors of those documents that still exist, in place of what they had."""
    connection.executemany(
        "INSERT OR REPLACE INTO vectors(document, model, vector) SELECT id, ?, ? FROM documents WHERE id = ?",
        [
            (model, np.ascontiguousarray(vector, np.float32).tobytes(), document)
            for document, vector in zip(documents, vectors, strict=True)
        ],
    )


def outdated(connection: sqlite3.Connection, model: str, count: int) -> list[tuple[int, str]]:
    """Some documents whose vector is of another model: their row numbers and texts."""
    # The oldest vectors first: those that are made again get higher numbers, so each is read once.
    return connection.execute(
        "SELECT documents.id, text FROM vectors JOIN documents ON documents.id = vectors.document"
        " WHERE model != ? ORDER BY number LIMIT ?",
        (model, count),
    ).fetchall()


def missing(connection: sqlite3.Connection, before: int, count: int) -> list[tuple[int, str]]:
    """Some documents without a vector below a row number, the highest first: their row numbers and texts."""
    return connection.execute(
        "SELECT id, text FROM documents WHERE id < ?"
        " AND NOT EXISTS (SELECT 1 FROM vectors WHERE document = documents.id) ORDER BY id DESC LIMIT ?",
        (before, count),
    ).fetchall()
