"""Opens the SQLite file of a store, or says why it cannot be: locked, newer than we are, or damaged."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mynah_resilience.files import set_aside
from mynah_tasks.errors import StoreLocked, StoreUnavailable
from mynah_tasks.stores.file_lock import FileLock

log = logging.getLogger(__name__)

VERSION = 2
"""Files of version 1 have a state for every task, which is as good."""

# What never changes about a task lies apart from what does, so that a large payload is written once. `change` is the
# number of the commit that changed a task last: of those that have ended, it tells which did so later.
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE task (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    idempotency_key TEXT,
    created_at REAL NOT NULL,
    spec BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX task_key ON task(idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE tag (
    tag TEXT NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (tag, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX tag_seq ON tag(seq);
CREATE TABLE state (
    seq INTEGER PRIMARY KEY,
    change INTEGER NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    token INTEGER NOT NULL,
    pause REAL,
    paused_at REAL,
    error TEXT,
    result BLOB,
    execution_time REAL NOT NULL,
    completed_at REAL,
    is_dead INTEGER NOT NULL
) STRICT;
CREATE INDEX state_status ON state(status, seq);
CREATE INDEX state_dead ON state(change) WHERE is_dead;
CREATE INDEX state_past ON state(completed_at) WHERE completed_at IS NOT NULL AND NOT is_dead;
PRAGMA user_version = {VERSION};
COMMIT;
"""

Connect = Callable[[Path], sqlite3.Connection]

LOG_SIZE = 32 + 1000 * (24 + 4096)
"""Bytes after which SQLite begins the write-ahead log anew: its header, and so many pages with one each."""

DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Damaged(Exception):  # a fact about the file
    """The file is not what we wrote."""


def open_file(path: Path, lock: FileLock, connect: Connect) -> tuple[sqlite3.Connection, Path | None]:
    """A connection that nobody else can have, and where a damaged file was moved to, if there was one.

    Raises StoreLocked when somebody has the file open in spite of our lock, StoreUnavailable when it cannot be opened.
    """
    try:
        try:
            return _look_into(path, lock, connect), None
        except Damaged as error:
            aside = set_aside(path)
            lock.note(made=False)
            log.error("the task store %s is damaged (%s): it was moved to %s and begins empty", path, error, aside)  # noqa: TRY400
            return _look_into(path, lock, connect), aside
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and code_of(error) == sqlite3.SQLITE_BUSY:
            raise StoreLocked(f"another process has the task store {path} open") from error
        raise StoreUnavailable(f"the task store {path} cannot be opened: {error}") from error


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that was sound when it was last looked at; raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA user_version").fetchone()  # opens the log
        _lay_out(path.with_name(f"{path.name}-wal"))
    except BaseException:
        db.close()
        raise
    return db


def _lay_out(log_file: Path) -> None:
    """Give an empty write-ahead log its full size, where there is room: to sync one that grows takes twice as long."""
    with suppress(OSError), log_file.open("r+b", buffering=0) as file:
        if not file.seek(0, os.SEEK_END):
            file.write(bytes(LOG_SIZE))


def code_of(error: sqlite3.Error) -> int:
    """SQLite's own number for what went wrong, without the details."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def _look_into(path: Path, lock: FileLock, connect: Connect) -> sqlite3.Connection:
    if lock.was_made and path.exists() and path.stat().st_size == 0:
        raise Damaged("it is empty")
    try:
        db = connect(path)
        try:
            _look_at(db, path)
            path.chmod(0o600)
            lock.note(made=True)
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        if code_of(error) in DAMAGED:
            raise Damaged(str(error)) from error
        raise
    return db


def _look_at(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new file, and sure that those of an old one are sound."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StoreUnavailable(f"the task store {path} was written by a newer version of this program")
    (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise Damaged(verdict)
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and not version:
        raise StoreUnavailable(f"{path} is a database, but not a task store")
    if not tables:
        db.executescript(SCHEMA)
    elif version < VERSION:
        db.execute(f"PRAGMA user_version = {VERSION}")
