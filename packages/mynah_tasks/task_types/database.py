"""database_operation: questions to SQLite databases that are known by name."""

import base64
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pydantic import Field

from mynah_tasks.errors import TaskError
from mynah_tasks.task_types.typed import BadPayload, NotConfigured, Payload, typed

Value: TypeAlias = int | float | str | bytes | None

READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
WRITING = {
    sqlite3.SQLITE_INSERT,
    sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE,
    sqlite3.SQLITE_TRANSACTION,
    sqlite3.SQLITE_CREATE_TABLE,
    sqlite3.SQLITE_CREATE_INDEX,
    sqlite3.SQLITE_DROP_TABLE,
    sqlite3.SQLITE_DROP_INDEX,
    sqlite3.SQLITE_ALTER_TABLE,
    sqlite3.SQLITE_REINDEX,
    sqlite3.SQLITE_ANALYZE,
}
"""What SQL may do; opening other files, extensions and settings are in neither list."""
FAULTS_OF_THE_STATEMENT = {
    sqlite3.SQLITE_ERROR,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_SCHEMA,  # some denied statements are looked at twice and then called this
    sqlite3.SQLITE_CONSTRAINT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_TOOBIG,
    sqlite3.SQLITE_READONLY,
}
LONGEST_VALUE = 10_000_000
"""Bytes."""
STEPS = 10_000
"""After how many steps of SQLite's machine the clock is looked at."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database file and what may be done to it."""

    path: Path
    writable: bool = False


class DatabaseOperation(Payload):
    """One statement."""

    database: str
    """The name under which it was configured; never a path."""
    sql: str = Field(max_length=100_000)
    parameters: tuple[Value, ...] | dict[str, Value] = ()
    """For the ? or :name in the statement."""
    max_rows: int = Field(default=1000, ge=1, le=100_000)
    limit_seconds: float = Field(default=30.0, gt=0, le=3600)


class Rows(Payload):
    """What came back; bytes as base64."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int | float | str | None, ...], ...]
    truncated: bool
    """Whether there was more."""
    changed: int
    """How many rows were written."""


class DatabaseFailed(TaskError):
    """The database is locked, damaged, full, or took too long."""

    code = "database_failed"


class Databases:
    """Does database operations, each with a connection of its own."""

    def __init__(self, known: Mapping[str, Database]) -> None:
        self._known = dict(known)
        self.process = typed(self._operate)
        """The processor: the rows that a statement gives."""

    def _operate(self, request: DatabaseOperation) -> Rows:
        database = self._known.get(request.database)
        if database is None:
            known = ", ".join(self._known) or "none"
            raise NotConfigured(f"there is no database {request.database!r}; configured: {known}")
        try:
            with closing(_connect(database)) as connection:
                return _execute(connection, request)
        except sqlite3.ProgrammingError as error:
            raise BadPayload(f"the statement and its parameters do not fit: {error}") from error
        except sqlite3.DatabaseError as error:
            raise _explained(error, database, request) from error


def _connect(database: Database) -> sqlite3.Connection:
    mode = "rw" if database.writable else "ro"
    connection = sqlite3.connect(f"{database.path.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None)
    allowed = READING | WRITING if database.writable else READING

    connection.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
    return connection


def _execute(connection: sqlite3.Connection, request: DatabaseOperation) -> Rows:
    end = time.monotonic() + request.limit_seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    cursor = connection.execute(request.sql, request.parameters)
    rows: Sequence[Sequence[Any]] = cursor.fetchmany(request.max_rows + 1)
    return Rows(
        columns=tuple(column[0] for column in cursor.description or ()),
        rows=tuple(tuple(map(_cell, row)) for row in rows[: request.max_rows]),
        truncated=len(rows) > request.max_rows,
        changed=max(0, cursor.rowcount),
    )


def _cell(value: Value) -> int | float | str | None:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _explained(error: sqlite3.DatabaseError, database: Database, request: DatabaseOperation) -> TaskError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_INTERRUPT:
        return DatabaseFailed(f"the statement took more than {request.limit_seconds:g} s")
    if code in FAULTS_OF_THE_STATEMENT:
        hint = "" if database.writable else "; the database is read-only"
        return BadPayload(f"the statement is refused: {error}{hint}")
    return DatabaseFailed(f"the database {request.database!r} failed: {error}")
