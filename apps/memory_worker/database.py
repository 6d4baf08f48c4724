"""The file that everything is remembered in: SQLite in WAL mode, with a full-text index.

A user's documents are one range of row numbers (the user's number in the upper 32 bits), so that a search within the
range never touches what belongs to somebody else, and a higher number is always newer.

Every change is one transaction: after a kill the file holds the state before or after it. A power cut may cost the
last transactions, never the file (`synchronous=NORMAL`).
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from memory_worker.errors import MemoryStoreError, explained

# "MynM": says that a file is ours.
APPLICATION = 0x4D796E4D
VERSION = 2
USER_BITS = 32

REMOVED = f"""
CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN
    INSERT INTO words(words, rowid, text) VALUES ('delete', old.id, old.text);
    UPDATE users SET documents = documents - 1 WHERE number = old.id >> {USER_BITS};
END;
"""  # noqa: S608  # constants

SCHEMA = f"""
BEGIN;
CREATE TABLE users(
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    last INTEGER NOT NULL DEFAULT 0,
    documents INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE documents(
    id INTEGER PRIMARY KEY,
    message TEXT NOT NULL,
    session TEXT NOT NULL,
    turn TEXT NOT NULL,
    speaker TEXT NOT NULL,
    text TEXT NOT NULL,
    ts REAL NOT NULL
);
CREATE UNIQUE INDEX documents_by_message ON documents(id >> {USER_BITS}, message);
CREATE INDEX documents_by_session ON documents(session, id);
CREATE VIRTUAL TABLE words USING fts5(
    text, content='documents', content_rowid='id', tokenize='porter unicode61 remove_diacritics 2'
);
CREATE TRIGGER documents_added AFTER INSERT ON documents BEGIN
    INSERT INTO words(rowid, text) VALUES (new.id, new.text);
    UPDATE users SET last = max(last, new.id & {2**USER_BITS - 1}), documents = documents + 1
        WHERE number = new.id >> {USER_BITS};
END;
{REMOVED}
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
COMMIT;
"""  # noqa: S608  # constants

# Version 1 kept vectors, and counted what was forgotten for those who held copies of them. May be run twice.
UPGRADE = f"""
BEGIN IMMEDIATE;
DROP TRIGGER IF EXISTS documents_removed;
DROP TABLE IF EXISTS vectors;
DROP TABLE IF EXISTS changes;
{REMOVED}
PRAGMA user_version = {VERSION};
COMMIT;
"""


class Database:
    """Two connections to one file, each behind a lock of its own: any thread may read while another writes."""

    def __init__(self, path: Path, patience_s: float) -> None:
        """Open a file that is known to be sound; waits at most `patience_s` for other programs."""
        with explained():
            self._writer = connect(path, patience_s)
            self._reader = connect(path, patience_s)
            self._reader.execute("PRAGMA query_only = ON")
        self._writing = threading.Lock()
        self._reading = threading.Lock()

    def close(self) -> None:
        """Close both connections; what is committed stays."""
        with self._reading, self._writing, explained():
            self._reader.close()
            self._writer.close()

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is kept, or nothing. Raises MemoryStoreError."""
        with self._writing, explained():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            finally:
                # A full disk has rolled back already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """One state of the file, whatever is written meanwhile. Raises MemoryStoreError."""
        with self._reading, explained():
            self._reader.execute("BEGIN")
            try:
                yield self._reader
            finally:
                self._reader.execute("ROLLBACK")

    def shred(self) -> None:
        """Remove from the disk what was deleted: from the index, the journal and the free pages."""
        with self._writing, explained():
            self._writer.execute("INSERT INTO words(words) VALUES ('optimize')")
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect(path: Path, patience_s: float) -> sqlite3.Connection:
    """A connection without implicit transactions, for use by one thread at a time."""
    connection = sqlite3.connect(path, timeout=patience_s, isolation_level=None, check_same_thread=False)
    connection.text_factory = lenient
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    # A journal that a long reader let grow gives its room back.
    connection.execute("PRAGMA journal_size_limit = 16000000")
    return connection


def lenient(data: bytes) -> str:
    """The text in some bytes: a damaged letter does not make its document unreadable."""
    return data.decode(errors="replace")


def create(path: Path) -> None:
    """Make an empty memory, unless there is a file by now; the file is never there half made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
            made = Path(folder) / path.name
            with explained(), closing(connect(made, 0)) as connection:
                connection.executescript(SCHEMA)
                connection.execute("PRAGMA journal_mode = WAL")
            made.chmod(0o600)
            # A link, unlike a renaming, does not replace what another process made meanwhile.
            os.link(made, path)
    except FileExistsError:
        return
    except OSError as error:
        raise MemoryStoreError(f"the memory cannot be made at {path}: {error.strerror}") from error


def upgrade(path: Path, patience_s: float) -> None:
    """Bring a file of an earlier version to ours: all of it, or nothing. Raises MemoryStoreError."""
    with explained(), closing(connect(path, patience_s)) as connection:
        connection.executescript(UPGRADE)
