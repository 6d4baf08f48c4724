"""The small database of the router: what must outlive it is on the disk before anybody is told."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from mynah_resilience.files import set_aside

log = logging.getLogger(__name__)

_VERSION = 1
_SCHEMA = """
CREATE TABLE timer (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT,
    seconds INTEGER NOT NULL,
    left_us INTEGER NOT NULL,
    due_wall_us INTEGER,
    due_monotonic_us INTEGER,
    boot TEXT NOT NULL,
    place TEXT NOT NULL
) STRICT;
CREATE TABLE item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    list TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (list, name)
) STRICT;
"""


class StoreError(Exception):
    """What is to be kept cannot be kept, or not be read; the message is for people."""


class Store:
    """One SQLite file; used by one thread at a time, any thread.

    A file that is damaged is set aside under another name, and said so in the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                self._connection = _opened(self._path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                aside = set_aside(self._path)
                log.warning("The database was damaged (%s). It is kept as %s; an empty one is used.", error, aside)
                self._connection = _opened(self._path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"the database {self._path.name} cannot be opened: {error}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """All of it is on the disk when the block ends, or none of it. Raises StoreError."""
        connection = self._opened()
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"it cannot be kept: {error}") from error
        finally:
            # SQLite has rolled back by itself after some errors.
            if connection.in_transaction:
                connection.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for queries. Raises StoreError."""
        try:
            yield self._opened()
        except sqlite3.Error as error:
            raise StoreError(f"it cannot be read: {error}") from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the store is used outside of its block")
        return self._connection


def _opened(path: Path) -> sqlite3.Connection:
    with ExitStack() as undo:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
        undo.callback(connection.close)
        _prepare(connection)
        undo.pop_all()
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    health = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if health != "ok":
        raise sqlite3.DatabaseError(health)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise sqlite3.OperationalError(f"it was made by a newer version ({version})")
    if version == 0:
        connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """Whether the file itself is wrong, rather than the disk, its rights or our statements."""
    return type(error) is sqlite3.DatabaseError
