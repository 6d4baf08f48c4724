"""What each job logged, in a file of its own."""

import asyncio
import hashlib
import logging
import re
import time
from collections import OrderedDict
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TextIO

from mynah_tasks.context import current_claim

PLAIN = re.compile(r"[0-9a-z_-]{1,64}")
"""Ids that are a file's name as they are, on any file system."""
DAY = 86_400.0
KEEP_FOR = 30 * DAY
"""Seconds without a new line after which a log is deleted: as long as a job is remembered in a SqliteStore."""
OPEN_AT_ONCE = 16
FORMAT = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")


class JobLogs:
    """Writes what is logged inside of jobs, on the loop or in a thread, to `directory`, beside the event loop.

    A log to which nothing was added for `KEEP_FOR` seconds is deleted.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self._catch = QueueHandler(records)
        self._catch.addFilter(_is_of_a_job)
        self._files = _Files(directory)
        self._writer = QueueListener(records, self._files)

    def read(self, job_id: str) -> str:
        """What a job has logged so far; blocks on the disk."""
        try:
            return _path(self._directory, job_id).read_text("utf-8")
        except FileNotFoundError:
            return ""

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_prepare, self._directory)
        self._writer.start()
        logging.getLogger().addHandler(self._catch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self._catch)
        await asyncio.to_thread(self._writer.stop)
        self._files.close()


class _Files(logging.Handler):
    """Adds a record to the file of its job; those that were written to last stay open."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self._open: OrderedDict[Path, TextIO] = OrderedDict()
        self._cleared_at = 0.0
        self.setFormatter(FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            if record.created - self._cleared_at > DAY:
                self._cleared_at = record.created
                _clear(self._directory)
            self._file(_path(self._directory, record.__dict__["job_id"])).write(self.format(record) + "\n")
        except Exception:  # noqa: BLE001  # whatever is wrong with one log, its thread writes those of all jobs
            self.handleError(record)

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1].close()
        super().close()

    def _file(self, path: Path) -> TextIO:
        if path not in self._open:
            while len(self._open) >= OPEN_AT_ONCE:
                self._open.popitem(last=False)[1].close()
            self._open[path] = path.open("a", buffering=1, encoding="utf-8", errors="backslashreplace")
        self._open.move_to_end(path)
        return self._open[path]


def _is_of_a_job(record: logging.LogRecord) -> bool:
    """Whether it was logged inside of a job; notes which one."""
    try:
        record.job_id = current_claim().task.id
    except LookupError:
        return False
    return True


def _path(directory: Path, job_id: str) -> Path:
    if PLAIN.fullmatch(job_id):
        return directory / f"{job_id}.log"
    # A full stop that no plain id has, so that nothing else can have this name.
    return directory / f"id.{hashlib.sha256(job_id.encode(errors='surrogatepass')).hexdigest()}.log"


def _prepare(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    _clear(directory)


def _clear(directory: Path) -> None:
    """Delete the logs that are too old."""
    for path in directory.glob("*.log"):
        if path.stat().st_mtime < time.time() - KEEP_FOR:
            path.unlink()
