"""A cache in files that threads and processes share."""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"
PARTIAL = ".partial"
DIGEST = 32
"""Bytes of SHA-256 in front of each value."""


class FileCache:
    """Keeps byte strings in `directory`, within `max_bytes`, `max_entries` and `max_age` seconds.

    Any thread of any process may use the same directory. A reader gets a whole value or none: values are written aside
    and moved into place under a file lock, and each carries a checksum, so that one torn by a power cut counts as
    missing. What was used longest ago goes first. Blocks on the disk: call it in a thread.
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
        with self._locked():
            partial = self._directory / PARTIAL
            partial.write_bytes(_digest(key, value) + value)
            os.utime(partial, (self._clock(), self._clock()))
            partial.replace(self._path(key))
            self._shrink()

    def remove(self, key: str) -> None:
        """Forget one value."""
        with self._locked():
            self._path(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget everything."""
        with self._locked():
            for path in self._files():
                path.unlink()

    def __len__(self) -> int:
        return sum(1 for _ in self._files())

    def _shrink(self) -> None:
        """Drop what is too old, then what was used longest ago, until the bounds hold."""
        now = self._clock()
        kept = []
        for path in self._files():
            facts = path.stat()
            if now - facts.st_mtime >= self._max_age:
                path.unlink()
            else:
                kept.append((facts.st_atime, facts.st_size, path))
        kept.sort(reverse=True)
        size = sum(size for _, size, _ in kept)
        while size > self._max_bytes or len(kept) > self._max_entries:
            _, freed, path = kept.pop()
            path.unlink()
            size -= freed

    def _files(self) -> Iterator[Path]:
        return (path for path in self._directory.iterdir() if not path.name.startswith("."))

    def _path(self, key: str) -> Path:
        # A name is derived, never joined: a key may hold anything.
        return self._directory / hashlib.sha256(key.encode()).hexdigest()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # Each opening has a lock of its own, so this excludes the other threads of this process as well.
        with (self._directory / LOCK).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _digest(key: str, value: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + value).digest()
