"""Reads and writes documents: one user's at a time, each in the rows of that user."""

import json
import math
import sqlite3
from collections.abc import Iterable

from memory_worker.database import USER_BITS
from memory_worker.documents import Entry, Limits, Question
from memory_worker.lexical import Range
from memory_worker.selection import Direction, Row
from memory_worker.words import all_of

COLUMNS = "id, message, session, turn, speaker, text, ts"
# What a question may find: not itself, and nothing that should be gone.
ALLOWED = "id BETWEEN :first AND :last AND ts >= :oldest AND (turn != :turn OR :turn = '')"
AROUND: dict[Direction, str] = {
    "previous": "id < :id ORDER BY id DESC",
    "next": "id > :id ORDER BY id",
}
# How many documents go at once when they are too old.
AT_ONCE = 1_000


def storable(text: str) -> str:
    """The text as SQLite can keep it: valid Unicode without zero bytes."""
    return text.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def rows_of(connection: sqlite3.Connection, user: str) -> Range | None:
    """The row numbers of a user; None for somebody unknown."""
    found = connection.execute("SELECT number FROM users WHERE name = ?", (storable(user),)).fetchone()
    return None if found is None else _range(found[0])


def insert(connection: sqlite3.Connection, entry: Entry) -> int | None:
    """Add a document as the user's newest: its row number, or None when its message is remembered already."""
    user = storable(entry.user)
    connection.execute("INSERT OR IGNORE INTO users(name) VALUES (?)", (user,))
    number, last = connection.execute("SELECT number, last FROM users WHERE name = ?", (user,)).fetchone()
    row = (number << USER_BITS) + last + 1
    texts = map(storable, (entry.id, entry.session, entry.turn, entry.speaker, entry.text))
    added = connection.execute(
        f"INSERT OR IGNORE INTO documents({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  # constants
        (row, *texts, entry.ts),
    )
    return row if added.rowcount else None


def prune(connection: sqlite3.Connection, row: int, limits: Limits, now: float) -> None:
    """Remove what the owner of a row has too much of, and some of what is too old."""
    number = row >> USER_BITS
    (kept,) = connection.execute("SELECT documents FROM users WHERE number = ?", (number,)).fetchone()
    if kept > limits.documents:
        # A hundredth more than needed, so that not every addition removes something.
        excess = kept - limits.documents + limits.documents // 100
        _remove_oldest(connection, _range(number), excess, math.inf)
    if limits.age_s is not None:
        _remove_oldest(connection, _range(number), AT_ONCE, now - limits.age_s)


def remove_about(connection: sqlite3.Connection, within: Range, wanted: list[str]) -> int:
    """Remove the documents that hold every one of some words; how many there were."""
    if not wanted:
        return 0
    # Found first: the index cannot be read while the deletion changes it.
    held = connection.execute(
        "SELECT rowid FROM words WHERE words MATCH ? AND rowid BETWEEN ? AND ?",
        (all_of(wanted), within.first, within.last),
    ).fetchall()
    connection.executemany("DELETE FROM documents WHERE id = ?", held)
    return len(held)


def remove_user(connection: sqlite3.Connection, user: str) -> int:
    """Remove a user with all documents; how many there were."""
    within = rows_of(connection, user)
    if within is None:
        return 0
    removed = connection.execute("DELETE FROM documents WHERE id BETWEEN ? AND ?", within).rowcount
    connection.execute("DELETE FROM users WHERE name = ?", (storable(user),))
    return removed


class Allowed:
    """The documents of one user that a question may find."""

    def __init__(self, connection: sqlite3.Connection, within: Range, question: Question, oldest: float) -> None:
        self._connection = connection
        self._given: dict[str, object] = {
            "first": within.first,
            "last": within.last,
            "oldest": oldest,
            "turn": storable(question.without_turn),
        }

    def newest(self, count: int) -> list[Row]:
        """The newest documents, the newest first."""
        return self._rows("1 ORDER BY id DESC LIMIT :count", count=count)

    def among(self, found: Iterable[int]) -> list[Row]:
        """Those of some rows."""
        return self._rows("id IN (SELECT value FROM json_each(:found))", found=json.dumps(list(found)))

    def around(self, row: Row, direction: Direction, count: int) -> list[Row]:
        """What was said before or after in the same session, the nearest first."""
        condition = f"session = :session AND {AROUND[direction]} LIMIT :count"
        return self._rows(condition, session=row.session, id=row.id, count=count)

    def _rows(self, condition: str, **given: object) -> list[Row]:
        query = f"SELECT {COLUMNS} FROM documents WHERE {ALLOWED} AND {condition}"  # noqa: S608  # constants
        return [Row(*row) for row in self._connection.execute(query, self._given | given)]


def _range(number: int) -> Range:
    return Range(number << USER_BITS, ((number + 1) << USER_BITS) - 1)


def _remove_oldest(connection: sqlite3.Connection, within: Range, count: int, before: float) -> None:
    connection.execute(
        "DELETE FROM documents WHERE ts < ?"
        " AND id IN (SELECT id FROM documents WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?)",
        (before, within.first, within.last, count),
    )
