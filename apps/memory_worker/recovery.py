"""Opens the file of the memory whatever state it is in, and never takes a broken one for an empty one."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_worker.database import APPLICATION, USER_BITS, VERSION, connect, create, lenient, upgrade
from memory_worker.errors import PRIMARY_CODE, MemoryStoreError, StoreDamagedError, explained
from memory_worker.rows import COLUMNS
from mynah_resilience.files import JOURNALS, set_aside

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovery:
    """What happened to a damaged file."""

    copy: Path | None
    """Where it was set aside; None when only the index was damaged, which was made again."""
    rescued: int
    """How many documents could be read from it and are remembered still."""


def prepare(path: Path, patience_s: float) -> Recovery | None:
    """Leave a sound file of our version at `path`: the one that is there, or a new one; says what was damaged.

    Raises MemoryStoreError when the file cannot be used for another reason than damage.
    """
    stray = any(path.with_name(path.name + suffix).exists() for suffix in JOURNALS)
    if not path.exists() and not stray:
        create(path)
        return None
    try:
        version = _version(path, patience_s)
    except StoreDamagedError as damage:
        return _replace(path, patience_s, damage)
    if version < VERSION:
        upgrade(path, patience_s)
    if _index_is_sound(path, patience_s):
        return None
    log.warning("The index of the memory was damaged and has been made again.")
    return Recovery(copy=None, rescued=_documents(path, patience_s))


def _version(path: Path, patience_s: float) -> int:
    """Which version a sound file is; raises StoreDamagedError, MemoryStoreError."""
    # An empty file is sound to SQLite, and a journal without its file is nothing; to us both are memories lost.
    if not path.exists() or not path.stat().st_size:
        raise StoreDamagedError("the file is empty or missing")
    with explained(), closing(connect(path, patience_s)) as connection:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise StoreDamagedError("; ".join(problems))
        if application != APPLICATION:
            raise StoreDamagedError("it is not the file of a memory")
        if version > VERSION:
            raise MemoryStoreError(f"{path} was written by a newer Mynah")
        connection.execute("SELECT documents FROM users").fetchone()
    return version


def _index_is_sound(path: Path, patience_s: float) -> bool:
    """Whether the full-text index fits the documents; makes it again if not."""
    with explained(), closing(connect(path, patience_s)) as connection:
        try:
            connection.execute("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_CORRUPT:
                raise
            connection.execute("INSERT INTO words(words) VALUES ('rebuild')")
            return False
    return True


def _documents(path: Path, patience_s: float) -> int:
    with explained(), closing(connect(path, patience_s)) as connection:
        return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])


def _replace(path: Path, patience_s: float, damage: StoreDamagedError) -> Recovery:
    try:
        copy = set_aside(path)
    except OSError as error:
        raise MemoryStoreError(f"the damaged memory at {path} cannot be set aside: {error.strerror}") from error
    create(path)
    rescued = _rescue(copy, path, patience_s)
    log.error("The memory was damaged (%s): set aside as %s, %d documents rescued.", damage, copy, rescued)
    return Recovery(copy, rescued)


def _rescue(copy: Path, path: Path, patience_s: float) -> int:
    """Carry over every document that can still be read."""
    with explained(), closing(connect(path, patience_s)) as new:
        new.execute("BEGIN IMMEDIATE")
        for user in _readable(copy, "SELECT number, name FROM users ORDER BY number"):
            new.execute("INSERT INTO users(number, name) VALUES (?, ?)", user)
        known = {number for (number,) in new.execute("SELECT number FROM users")}
        rescued = 0
        # From both ends, because reading stops at the first page that is broken.
        for order in ("", " DESC"):
            for row in _readable(copy, f"SELECT {COLUMNS} FROM documents ORDER BY id{order}"):  # noqa: S608  # constants
                if row[0] >> USER_BITS in known:
                    added = new.execute(f"INSERT OR IGNORE INTO documents({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608  # constants
                    rescued += added.rowcount
        new.execute("COMMIT")
    return rescued


def _readable(copy: Path, query: str) -> Iterator[tuple[Any, ...]]:
    """The rows up to the first that cannot be read."""
    # Opening an empty file would throw away the journal beside it.
    if not copy.exists() or not copy.stat().st_size:
        return
    try:
        with closing(sqlite3.connect(copy)) as old:
            old.text_factory = lenient
            # First of all, or nothing is read of a file that was cut off.
            old.execute("PRAGMA writable_schema = ON")
            yield from old.execute(query)
    except sqlite3.Error as error:
        log.info("Reading %s stopped: %s.", copy.name, error)
