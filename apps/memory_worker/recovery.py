"""Opens the file of the memory whatever state it is in, and never takes a broken one for an empty one."""

import itertools
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_worker.database import APPLICATION, USER_BITS, VERSION, connect, create, lenient
from memory_worker.errors import PRIMARY_CODE, MemoryStoreError, StoreDamagedError, explained

log = logging.getLogger(__name__)

# The files that SQLite keeps beside a database.
BESIDE = ("-wal", "-shm")
COLUMNS = "id, message, session, turn, speaker, text, ts"


@dataclass(frozen=True)
class Recovery:
    """What happened to a damaged file."""

    copy: Path | None
    """Where it was set aside; None when only the index was damaged, which was made again."""
    rescued: int
    """How many documents could be read from it and are remembered still."""


def prepare(path: Path, patience_s: float, now: Callable[[], float]) -> Recovery | None:
    """Leave a sound file at `path`: the one that is there, or a new one; says what was damaged.

    Raises MemoryStoreError when the file cannot be used for another reason than damage.
    """
    stray = any(beside.exists() for beside in _beside(path))
    if not path.exists() and not stray:
        create(path)
        return None
    try:
        _check(path, patience_s)
    except StoreDamagedError as damage:
        return _replace(path, patience_s, now(), damage)
    if _index_is_sound(path, patience_s):
        return None
    log.warning("The index of the memory was damaged and has been made again.")
    return Recovery(copy=None, rescued=_documents(path, patience_s))


def _check(path: Path, patience_s: float) -> None:
    # An empty file is sound to SQLite, and a journal without its file is nothing; to us both are memories lost.
    if not path.exists() or not path.stat().st_size:
        raise StoreDamagedError("the file is empty or missing")
    with explained(), closing(connect(path, patience_s)) as connection:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        problems = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise StoreDamagedError("; ".join(problems))
        if application != APPLICATION:
            raise StoreDamagedError("it is not the file of a memory")
        if version > VERSION:
            raise MemoryStoreError(f"{path} was written by a newer Mynah")
        connection.execute("SELECT forgotten FROM changes").fetchone()


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


def _replace(path: Path, patience_s: float, now: float, damage: StoreDamagedError) -> Recovery:
    copy = _set_aside(path, now)
    create(path)
    rescued = _rescue(copy, path, patience_s)
    log.error("The memory was damaged (%s): set aside as %s, %d documents rescued.", damage, copy, rescued)
    return Recovery(copy, rescued)


def _set_aside(path: Path, now: float) -> Path:
    """Rename the file and what stands beside it, to a name that is free."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    names = (path.with_name(f"{path.name}.damaged-{stamp}-{number}") for number in itertools.count(1))
    copy = next(name for name in names if not any(file.exists() for file in (name, *_beside(name))))
    try:
        for source, target in zip((path, *_beside(path)), (copy, *_beside(copy)), strict=True):
            if source.exists():
                source.rename(target)
    except OSError as error:
        raise MemoryStoreError(f"the damaged memory at {path} cannot be set aside: {error.strerror}") from error
    return copy


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


def _beside(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in BESIDE]
