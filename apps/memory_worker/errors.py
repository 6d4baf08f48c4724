"""What can go wrong with what is remembered.

MemoryStoreError      the message says why, for people; nothing was changed
├── StoreBusyError    somebody else holds the file; worth another try
├── StoreFullError    the disk has no room
└── StoreDamagedError the file broke while it was open; opening it again sets it aside
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryStoreError(Exception):
    """The store could not do what was asked."""


class StoreBusyError(MemoryStoreError):
    """Somebody else holds the file."""


class StoreFullError(MemoryStoreError):
    """The disk has no room."""


class StoreDamagedError(MemoryStoreError):
    """The file is not what was written."""


MEANING = {
    sqlite3.SQLITE_BUSY: (StoreBusyError, "the memory is in use by another program"),
    sqlite3.SQLITE_LOCKED: (StoreBusyError, "the memory is in use by another program"),
    sqlite3.SQLITE_FULL: (StoreFullError, "the disk is full, so nothing can be remembered"),
    sqlite3.SQLITE_CORRUPT: (StoreDamagedError, "the file of the memory is damaged"),
    sqlite3.SQLITE_NOTADB: (StoreDamagedError, "the file of the memory is damaged"),
    sqlite3.SQLITE_READONLY: (MemoryStoreError, "the file of the memory cannot be written"),
    sqlite3.SQLITE_CANTOPEN: (MemoryStoreError, "the file of the memory cannot be opened"),
    sqlite3.SQLITE_IOERR: (MemoryStoreError, "the disk of the memory does not work"),
}
PRIMARY_CODE = 0xFF


@contextmanager
def explained() -> Iterator[None]:
    """Errors of SQLite become those of the store."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        kind, meaning = MEANING.get(code & PRIMARY_CODE, (MemoryStoreError, "the memory does not work"))
        raise kind(f"{meaning} ({error})") from error
