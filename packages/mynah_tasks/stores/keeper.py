"""Owns the SQLite file and the book of its tasks, in the thread that it lives in."""

import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mynah_tasks.book import Book, Changes
from mynah_tasks.errors import StoreUnavailable, TaskError
from mynah_tasks.records import Moment
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Counts, Rules
from mynah_tasks.stores.file_lock import FileLock
from mynah_tasks.stores.journal import Journal
from mynah_tasks.stores.local import Answer, Step
from mynah_tasks.stores.sqlite_file import Connect, code_of, open_file

log = logging.getLogger(__name__)

Result = tuple[Any, TaskError | None]


class Done(NamedTuple):
    """What a group of steps came to, all of it written down."""

    results: list[Result]
    """What each step gave or raised."""
    changes: Changes
    answer: Answer | None
    counts: Counts
    room: int
    next_due: float | None
    """When the book has something to do by itself, monotonic seconds."""


MISTAKES = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)
"""What says nothing about the file, but that it was asked in a wrong way."""
NOTHING = Changes((), (), ())


class Keeper:
    """Takes steps of the book in groups: with one commit a group is in the file, or else it has not happened.

    When the file fails, the book is read again from what is in it; as long as that fails too, nothing can be done.
    """

    def __init__(self, path: Path, connect: Connect, *, keep: int, keep_for: float) -> None:
        self._path = path
        self._connect = connect
        self._keep = keep
        self._keep_for = keep_for
        self._lock: FileLock | None = None
        self._db: sqlite3.Connection | None = None
        self._journal: Journal | None = None
        self._book: Book | None = None
        self._held: dict[str, int] | None = None
        self._refused: set[str] = set()
        """New tasks that were refused when the file failed, although it may have taken them."""
        self._is_failing = False
        self.quarantined: Path | None = None
        """Where the file went that was found damaged when it was opened."""

    @property
    def trouble(self) -> str | None:
        """A code for what is wrong."""
        if self._is_failing:
            return "store_unavailable"
        return "store_quarantined" if self.quarantined else None

    @property
    def journal(self) -> Journal:
        """For steps that look into the file."""
        assert self._journal is not None
        return self._journal

    def take(
        self, steps: Sequence[Step[Any]], serve: Callable[[Book, Moment], Answer | None], rules: Rules, now: Moment
    ) -> Done:
        """Take a group of steps; raises StoreUnavailable, StoreLocked, and what a step raises that it should not."""
        book = self._ready(rules, now)
        changes = NOTHING
        try:
            results = [_result(step, book, now) for step in steps]
            answer = serve(book, now)
            changes = book.take_changes()
            book.forget_dead(self.journal.write(changes.touched, now))
        except MISTAKES:
            self._forget()  # half a step may have been taken
            raise
        except sqlite3.Error as error:
            log.error("the task store %s failed: %s", self._path, error)  # noqa: TRY400
            if not self._has_survived(book, changes, error, rules, now):
                raise StoreUnavailable(f"the task store failed: {error}") from error
        except BaseException:
            self._forget()
            raise
        self._is_failing = False
        self._hold(changes)
        return Done(results, changes, answer, book.counts, book.room, book.next_due)

    def close(self) -> None:
        """Close the file; whoever opens it next takes the claims that are out for those of a dead process."""
        self._forget()
        self._held = None
        if self._lock:
            self._lock.release()
            self._lock = None

    def _ready(self, rules: Rules, now: Moment) -> Book:
        """The book, read from the file where necessary."""
        try:
            if self._lock is None:
                self._lock = FileLock(self._path)
            if self._held is None:
                self._db, self.quarantined = open_file(self._path, self._lock, self._connect)
            elif self._db is None:
                self._db = self._connect(self._path)
            if self._book is None:
                self._read(self._db, rules, now)
            elif self._is_failing:
                self.journal.probe()
        except sqlite3.Error as error:
            self._is_failing = True
            if code_of(error) != sqlite3.SQLITE_FULL:
                self._forget()
            raise StoreUnavailable(f"the task store fails: {error}") from error
        assert self._book is not None
        return self._book

    def _read(self, db: sqlite3.Connection, rules: Rules, now: Moment) -> None:
        """Make the book from what is in the file."""
        journal = Journal(db, keep=self._keep, keep_for=self._keep_for)
        journal.expel(self._refused)
        self._refused.clear()
        book = Book(rules, journal, dead=journal.dead, last_seq=journal.last_seq, last_token=journal.last_token)
        kept = journal.live(now)
        book.restore(kept.records, now, waits=kept.waits, held=self._held)
        self._held = self._held or {}
        self._journal, self._book = journal, book

    def _has_survived(self, book: Book, changes: Changes, error: sqlite3.Error, rules: Rules, now: Moment) -> bool:
        """After a failure: whether the file has the changes all the same, only the end of the commit having failed."""
        journal = self.journal
        self._refused |= {record.task.id for record in changes.touched if record.seq > journal.last_seq}
        self._is_failing = True
        self._forget()
        try:
            self._db = self._connect(self._path)
            if code_of(error) == sqlite3.SQLITE_IOERR:
                # After a failed sync the system may take for written what is not: write it once more, elsewhere.
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            if journal.has_written(changes.touched, self._db):
                self._journal, self._book = journal, book
                self._refused.clear()
                book.forget_dead(book.counts.dead - journal.dead)
                return True
            self._read(self._db, rules, now)
        except sqlite3.Error as again:
            log.error("the task store %s fails again: %s", self._path, again)  # noqa: TRY400
            self._forget()
        return False

    def _forget(self) -> None:
        """Close the file and forget what was in it."""
        if self._db:
            self._db.close()
        self._db = self._journal = self._book = None

    def _hold(self, changes: Changes) -> None:
        """Remember which claims are out."""
        assert self._held is not None
        for record in changes.touched:
            if record.status is TaskStatus.RUNNING:
                self._held[record.task.id] = record.token
            else:
                self._held.pop(record.task.id, None)


def _result(step: Step[Any], book: Book, now: Moment) -> Result:
    try:
        return step(book, now), None
    except TaskError as error:
        return None, error
