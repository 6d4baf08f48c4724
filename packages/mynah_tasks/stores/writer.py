"""A thread that takes jobs in groups: whatever has come while it was at one group is the next."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

J = TypeVar("J")

LARGEST = 1000
"""Jobs in a group."""


class Writer(Generic[J]):
    """Runs `work(group)` for all jobs that are put, in their order; a lone job is not made to wait for others."""

    def __init__(self, name: str, work: Callable[[list[J]], None], on_end: Callable[[], None]) -> None:
        self._jobs: SimpleQueue[J | None] = SimpleQueue()
        self._work = work
        self._on_end = on_end
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def put(self, job: J) -> None:
        """Add a job; from any thread."""
        self._jobs.put(job)

    def end(self) -> None:
        """Let the thread end after the jobs that were put; `on_end` is its last call."""
        self._jobs.put(None)

    def _run(self) -> None:
        while True:
            group, is_last = [], False
            job = self._jobs.get()
            while job is not None:
                group.append(job)
                if len(group) == LARGEST or self._jobs.empty():
                    break
                job = self._jobs.get()
            else:
                is_last = True
            if group:
                self._work(group)
            if is_last:
                self._on_end()
                return
