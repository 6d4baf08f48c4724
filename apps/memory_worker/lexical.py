"""Finds documents by their words: BM25 over the full-text index, in bounded time.

BM25 costs microseconds for each document, and a frequent word is in very many. So of the documents that hold any of
the words the newest are ranked, and of those that hold a rare word all; those that hold every word come first.
"""

import sqlite3
from typing import NamedTuple

from memory_worker.words import all_of, any_of

MOST_RANKED = 500
OPENED, CLOSED = "\x02", "\x03"

HOLDING = "FROM words WHERE words MATCH :query AND rowid BETWEEN :first AND :last"


class Range(NamedTuple):
    """The row numbers that belong to one user, both ends included."""

    first: int
    last: int


def find(connection: sqlite3.Connection, wanted: list[str], within: Range, count: int) -> dict[int, float]:
    """The documents that fit some words best, best first, with scores from 0 to 1; of equals the newest first.

    The best one's score is the share of the words that it holds, the others' are in proportion to their BM25.
    """
    if not wanted:
        return {}
    ranked = _ranked(connection, wanted, within, count)
    best = sorted(ranked, key=lambda document: (ranked[document], document), reverse=True)[:count]
    if not best:
        return {}
    share = _share(connection, wanted, best[0])
    return {document: share * ranked[document] / ranked[best[0]] for document in best}


def _ranked(connection: sqlite3.Connection, wanted: list[str], within: Range, count: int) -> dict[int, float]:
    """BM25 of the best documents; positive."""
    newest = _newest(connection, any_of(wanted), within, MOST_RANKED)
    if len(newest) < MOST_RANKED:
        return _best(connection, any_of(wanted), within, count)
    found = _best(connection, any_of(wanted), Range(newest[-1], within.last), count)
    if rare := _rare(connection, wanted, within):
        for document, score in _best(connection, any_of(rare), within, count).items():
            found[document] = max(score, found.get(document, 0.0))
    if len(wanted) > 1:
        best, least = max(found.values()), min(found.values())
        found |= {held: best + found.get(held, least) for held in _newest(connection, all_of(wanted), within, count)}
    return found


def _best(connection: sqlite3.Connection, query: str, within: Range, count: int) -> dict[int, float]:
    rows = connection.execute(
        f"SELECT rowid, -bm25(words) {HOLDING} ORDER BY bm25(words), rowid DESC LIMIT :count",
        {"query": query, "first": within.first, "last": within.last, "count": count},
    )
    return dict(rows.fetchall())


def _newest(connection: sqlite3.Connection, query: str, within: Range, count: int) -> list[int]:
    """The newest documents that a query finds, the newest first."""
    rows = connection.execute(
        f"SELECT rowid {HOLDING} ORDER BY rowid DESC LIMIT :count",
        {"query": query, "first": within.first, "last": within.last, "count": count},
    )
    return [row for (row,) in rows]


def _rare(connection: sqlite3.Connection, wanted: list[str], within: Range) -> list[str]:
    """The rarest of the words, as many as MOST_RANKED documents hold together."""
    held = {word: _count(connection, word, within) for word in wanted}
    rare: list[str] = []
    total = 0
    for word in sorted(held, key=lambda word: held[word]):
        total += held[word]
        if total > MOST_RANKED:
            break
        rare.append(word)
    return rare


def _count(connection: sqlite3.Connection, word: str, within: Range) -> int:
    """How many documents hold a word; counts no further than needed."""
    row = connection.execute(
        f"SELECT count(*) FROM (SELECT 1 {HOLDING} LIMIT :most)",  # noqa: S608
        {"query": any_of([word]), "first": within.first, "last": within.last, "most": MOST_RANKED + 1},
    ).fetchone()
    return int(row[0])


def _share(connection: sqlite3.Connection, wanted: list[str], document: int) -> float:
    """The share of the words that a document holds, in whatever form."""
    (text,) = connection.execute(
        "SELECT highlight(words, 0, ?, ?) FROM words WHERE words MATCH ? AND rowid = ?",
        (OPENED, CLOSED, any_of(wanted), document),
    ).fetchone()
    held = {part.partition(CLOSED)[0].casefold() for part in text.split(OPENED)[1:]}
    return min(1.0, len(held) / len(wanted))
