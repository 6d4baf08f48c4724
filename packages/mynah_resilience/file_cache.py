"""A cache in files that threads and processes share."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

LOCK = ".lock"
PARTIAL = ".partial"
DIGEST = 32
"""Bytes of SHA-256 in front of each value."""
SLACK = 32
"""A cache that is full, or has values that are too old, is looked through once per 1/32 of what it may keep."""


class _Notes(NamedTuple):
    """What is known of the values without looking at them; it stands in the lock file."""

    entries: int
    size: int
    """Bytes."""
    due: float
    """When one of them may be too old, seconds since 1970."""


class FileCache:
    """Keeps byte strings in `directory`, within `max_bytes`, `max_entries` and `max_age` seconds.

    Any thread of any process may use the same directory. A reader gets a whole value or none: values are written aside
    and moved into place under a file lock, and each carries a checksum, so that one torn by a power cut counts as
    missing. What was used longest ago goes first, 1/32 of all at a time. Blocks on the disk: call it in a thread.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = 100_000_000,
        max_entries: int = 10_000,
        max_age: float = 30 * 86_400.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_bytes <= 0 or max_entries < 1 or max_age <= 0:
            raise ValueError("a cache keeps something: max_bytes, max_entries and max_age are positive")
        self._directory = directory
        self._max_bytes = max_bytes
        self._max_entries = max_entries
        self._max_age = max_age
        self._clock = clock
        directory.mkdir(parents=True, exist_ok=True)

    def get(self, key: str) -> bytes | None:
        """The value, or None when there is none, it is too old, or its file is damaged."""
        path = self._path(key)
        try:
            with path.open("rb") as file:
                written = os.fstat(file.fileno()).st_mtime
                content = file.read()
                if self._clock() - written < self._max_age and content[:DIGEST] == _digest(key, content[DIGEST:]):
                    # When it was used goes into the access time; the modification time is its age.
                    os.utime(file.fileno(), (self._clock(), written))
                    return content[DIGEST:]
        except FileNotFoundError:
            pass
        return None

    def put(self, key: str, value: bytes) -> None:
        """Keep `value`, unless it alone is more than `max_bytes`; raises OSError when the disk refuses."""
        if len(value) + DIGEST > self._max_bytes:
            return
        now = self._clock()
        with self._locked() as lock:
            notes = _take_notes(lock)
            partial = self._directory / PARTIAL
            partial.write_bytes(_digest(key, value) + value)
            os.utime(partial, (now, now))
            path = self._path(key)
            notes = notes and _without(notes, path)
            partial.replace(path)
            notes = notes and _Notes(notes.entries + 1, notes.size + len(value) + DIGEST, notes.due)
            if notes is None or notes.entries > self._max_entries or notes.size > self._max_bytes or now >= notes.due:
                notes = self._shrink(now)
            _leave_notes(lock, notes)

    def remove(self, key: str) -> None:
        """Forget one value."""
        with self._locked() as lock:
            if notes := _take_notes(lock):
                notes = _without(notes, self._path(key))
            self._path(key).unlink(missing_ok=True)
            if notes:
                _leave_notes(lock, notes)

    def clear(self) -> None:
        """Forget everything."""
        with self._locked() as lock:
            _take_notes(lock)
            for path in self._files():
                path.unlink()

    def __len__(self) -> int:
        return sum(1 for _ in self._files())

    def _shrink(self, now: float) -> _Notes:
        """Drop what is too old, then what was used longest ago, until the bounds hold for a while; what is left."""
        kept, oldest = [], now
        for path in self._files():
            facts = path.stat()
            if now - facts.st_mtime >= self._max_age:
                path.unlink()
            else:
                kept.append((facts.st_atime, facts.st_size, path))
                oldest = min(oldest, facts.st_mtime)
        kept.sort(reverse=True)
        size = sum(size for _, size, _ in kept)
        if size > self._max_bytes or len(kept) > self._max_entries:
            most_bytes = self._max_bytes - self._max_bytes // SLACK
            most_entries = self._max_entries - self._max_entries // SLACK
            while size > most_bytes or len(kept) > most_entries:
                _, freed, path = kept.pop()
                path.unlink()
                size -= freed
        return _Notes(len(kept), size, max(oldest + self._max_age, now + self._max_age / SLACK))

    def _files(self) -> Iterator[Path]:
        return (path for path in self._directory.iterdir() if not path.name.startswith("."))

    def _path(self, key: str) -> Path:
        # A name is derived, never joined: a key may hold anything.
        return self._directory / hashlib.sha256(key.encode()).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The lock file."""
        # Each opening has a lock of its own, so this excludes the other threads of this process as well.
        lock = os.open(self._directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)


def _take_notes(lock: int) -> _Notes | None:
    """What was known until now, if anything; who is killed before `_leave_notes` leaves none."""
    try:
        entries, size, due = os.pread(lock, 100, 0).split()
        notes = _Notes(int(entries), int(size), float(due))
    except ValueError:
        return None
    os.ftruncate(lock, 0)
    return notes


def _leave_notes(lock: int, notes: _Notes) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, " ".join(map(str, notes)).encode(), 0)


def _without(notes: _Notes, path: Path) -> _Notes:
    """What is known when this file has gone."""
    try:
        return _Notes(notes.entries - 1, notes.size - path.stat().st_size, notes.due)
    except FileNotFoundError:
        return notes


def _digest(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + value).digest()
