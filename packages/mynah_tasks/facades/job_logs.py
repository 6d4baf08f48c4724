"""What each job logged, in a file of its own."""

import asyncio
import logging
import re
from logging.handlers import QueueHandler, QueueListener
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from mynah_tasks.context import current_claim

JOB_ID = re.compile(r"[0-9a-f]{32}")
FORMAT = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")


class JobLogs:
    """Writes what is logged inside of jobs, on the loop or in a thread, to `directory`, beside the event loop."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        records: SimpleQueue[logging.LogRecord] = SimpleQueue()
        self._catch = QueueHandler(records)
        self._catch.addFilter(_is_of_a_job)
        self._writer = QueueListener(records, _Files(directory))

    def read(self, job_id: str) -> str:
        """What a job has logged so far; blocks on the disk."""
        try:
            return _path(self._directory, job_id).read_text()
        except FileNotFoundError:
            return ""

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._directory.mkdir, parents=True, exist_ok=True)
        self._writer.start()
        logging.getLogger().addHandler(self._catch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger().removeHandler(self._catch)
        await asyncio.to_thread(self._writer.stop)


class _Files(logging.Handler):
    """Adds a record to the file of its job."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        self.setFormatter(FORMAT)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            with _path(self._directory, record.__dict__["job_id"]).open("a") as file:
                file.write(self.format(record) + "\n")
        except OSError:
            self.handleError(record)


def _is_of_a_job(record: logging.LogRecord) -> bool:
    """Whether it was logged inside of a job; notes which one."""
    try:
        record.job_id = current_claim().task.id
    except LookupError:
        return False
    return True


def _path(directory: Path, job_id: str) -> Path:
    if not JOB_ID.fullmatch(job_id):
        raise KeyError(f"{job_id!r} is no job")
    return directory / f"{job_id}.log"
