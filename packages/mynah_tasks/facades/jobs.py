"""Long work in the background, under the names that agents know."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from mynah_tasks.engine import TaskEngine
from mynah_tasks.facades.facade import Facade
from mynah_tasks.facades.job_logs import JobLogs
from mynah_tasks.presets import JOBS
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Store
from mynah_tasks.task import Entry, Task

_open: list["JobManager"] = []


class JobManager(Facade):
    """Runs two jobs at a time; with a durable store they survive a restart. What they log goes to `logs`, if given."""

    def __init__(self, store: Store | None = None, *, logs: Path | None = None, events: Any = None) -> None:
        self._logs = JobLogs(logs) if logs else None
        super().__init__(TaskEngine.sized(JOBS, store, events=events), *((self._logs,) if self._logs else ()))

    def register_job(self, kind: str, work: Callable[[Any], Any]) -> None:
        """Have jobs of a kind done by `work(config)`: a coroutine function, or a plain one, which runs in a thread."""
        self.engine.register_processor(kind, work)

    async def submit_job(self, kind: str, config: dict[str, Any], timeout: float = 3600.0, **options: Any) -> str:
        """Accept a job that may take `timeout` seconds an attempt; its id. Options are fields of Task."""
        return await self.engine.submit(Task(kind, config, **({"timeout": timeout, "io_bound": True} | options)))

    async def cancel_job(self, job_id: str) -> list[str]:
        """Stop a job and what depends on it; the ids of what was stopped."""
        return await self.engine.cancel_task(job_id)

    async def list_jobs(self, status: TaskStatus | str | None = None, limit: int = 100) -> list[Entry]:
        """Jobs, the newest first; as status, `queued` and `processing` are understood too."""
        return await self.engine.list_tasks(status=TaskStatus(status) if status else None, limit=limit)

    async def get_logs(self, job_id: str) -> str:
        """What a job has logged; empty without `logs`."""
        return await asyncio.to_thread(self._logs.read, job_id) if self._logs else ""

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        _open.append(self)
        return self

    async def __aexit__(self, *error: Any) -> None:  # noqa: PYI036  # passed on as they came
        _open.remove(self)
        await super().__aexit__(*error)


def get_job_manager() -> JobManager:
    """The job manager that this process has open; raises RuntimeError when there is none."""
    if not _open:
        raise RuntimeError("no job manager is open: enter one with `async with JobManager()`")
    return _open[-1]
