"""What is remembered, in one file: kept, searched, forgotten.

Every method blocks, and may be called from any thread while the store is open.
"""

import math
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Self

from memory_worker.database import Database
from memory_worker.documents import Entry, Limits, Question, Results, StrategyUsed
from memory_worker.errors import MemoryStoreError
from memory_worker.lexical import find
from memory_worker.recovery import Recovery, prepare
from memory_worker.rows import Allowed, insert, prune, remove_about, remove_user, rows_of
from memory_worker.selection import Hit, select
from memory_worker.words import words

# More than asked for is looked for, because the question itself may be among it.
SPARE = 20


class Store:
    """One file of memories; `recovery` says, once it is open, what was damaged and what became of it."""

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        now: Callable[[], float] = time.time,
        patience_s: float = 5.0,
    ) -> None:
        self.recovery: Recovery | None = None
        self._path = path
        self._limits = limits or Limits()
        self._now = now
        self._patience_s = patience_s
        self._opened: Database | None = None

    def __enter__(self) -> Self:
        """Open the file, make it, or set a damaged one aside; raises MemoryStoreError."""
        self.recovery = prepare(self._path, self._patience_s)
        self._opened = Database(self._path, self._patience_s)
        return self

    def __exit__(self, *_error: object) -> None:
        """Close the file, once the calls that run are done."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def add(self, entry: Entry) -> bool:
        """Remember something; False when it is blank or its message is remembered already.

        Raises ValueError for a text that is too long, MemoryStoreError.
        """
        if len(entry.text) > self._limits.characters:
            raise ValueError(f"a text of {len(entry.text)} characters is too long to be remembered")
        if not entry.text.strip():
            return False
        with self._database.write() as connection:
            row = insert(connection, entry)
            if row is not None:
                prune(connection, row, self._limits, self._now())
            return row is not None

    def query(self, question: Question) -> Results:
        """What is remembered about a text; raises MemoryStoreError."""
        strategy: StrategyUsed = "recent" if question.strategy == "recent" else "lexical"
        with self._database.read() as connection:
            within = rows_of(connection, question.user)
            if within is None:
                return Results((), 0, truncated=False, strategy_used=strategy)
            age = self._limits.age_s
            allowed = Allowed(connection, within, question, -math.inf if age is None else self._now() - age)
            if strategy == "recent":
                hits = [Hit(row, None) for row in allowed.newest(question.top_k)]
            else:
                scores = find(connection, words(question.text), within, question.top_k + SPARE)
                hits = [Hit(row, scores[row.id]) for row in allowed.among(scores)]
                hits.sort(key=lambda hit: (hit.score, hit.row.id), reverse=True)
            around = partial(allowed.around, count=question.context_window) if question.context_window else None
            chosen = select(hits[: question.top_k], question.max_tokens, around)
            return Results(*chosen, strategy_used=strategy)

    def forget_about(self, user: str, text: str) -> int:
        """Remove a user's documents that hold every word of a text, from the disk as well; how many there were.

        Raises MemoryStoreError.
        """
        with self._database.write() as connection:
            within = rows_of(connection, user)
            removed = remove_about(connection, within, words(text)) if within else 0
        if removed:
            self._database.shred()
        return removed

    def forget_user(self, user: str = "") -> int:
        """Remove everything of a user, the name too, from the disk as well; how many documents there were.

        Raises MemoryStoreError.
        """
        with self._database.write() as connection:
            removed = remove_user(connection, user)
        self._database.shred()
        return removed

    @property
    def _database(self) -> Database:
        if self._opened is None:
            raise MemoryStoreError("the memory is not open")
        return self._opened
