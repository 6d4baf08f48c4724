"""A store in one SQLite file: what it has accepted survives its process and, the disk permitting, a power cut."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from mynah_tasks.book import Book
from mynah_tasks.clock import AGAIN_IN
from mynah_tasks.errors import EngineStopped, StoreUnavailable
from mynah_tasks.records import Moment, newest, page_size
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Outcome
from mynah_tasks.stores.coding import as_stored, encode, encode_task
from mynah_tasks.stores.keeper import Done, Keeper
from mynah_tasks.stores.local import LocalStore, Step
from mynah_tasks.stores.sqlite_file import Connect, connect
from mynah_tasks.stores.writer import Writer
from mynah_tasks.task import DeadLetter, Entry, Task

T = TypeVar("T")

DAY = 86_400.0


class Job(NamedTuple):
    """A step, and who waits for its result."""

    step: Step[Any]
    answer: asyncio.Future[Any] | None


class SqliteStore(LocalStore):
    """Keeps tasks in the file `path`; a thread commits once for all that has come while it was at the last commit.

    Of the tasks that have ended it remembers the last `keep`, for `keep_for` seconds, and as many dead letters. While
    the disk fails, calls raise StoreUnavailable; when it has recovered, they work again. A damaged file is moved aside
    and an empty one begun, which the log and `trouble` say. One process can have the file open; `connect` opens it.
    """

    durable = True
    name = "SQLite"

    def __init__(
        self, path: Path | str, *, keep: int = 100_000, keep_for: float = 30 * DAY, connect: Connect = connect
    ) -> None:
        super().__init__()
        self._keeper = Keeper(Path(path), connect, keep=keep, keep_for=keep_for)
        self._counts = Counts()
        self._has_failed = False
        self._writer: Writer[Job] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._is_halted = False
        self._writer = Writer("task store", self._work, self._end)
        self._desk.open()
        try:
            await self._run(lambda *_: None)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.halt()
        try:
            await self._close()
        finally:
            self._desk.close()

    @property
    def counts(self) -> Counts:
        """How many tasks there are, as of the last commit."""
        return self._counts

    @property
    def trouble(self) -> str | None:
        """A code for what is wrong with the file."""
        return self._keeper.trouble

    async def add(self, tasks: Sequence[Task]) -> list[str]:
        """Accept all or none; see `Store.add`."""
        one = _encoded(tasks) if len(tasks) == 1 else None  # quicker here; many would hold up the loop

        def step(book: Book, now: Moment) -> list[str]:
            encoded = one or _encoded(tasks)
            ids = book.add([task for task, _ in encoded], now)
            for task, spec in encoded:
                self._keeper.journal.stage_task(task.id, spec)
            return ids

        return await self._run(step)

    async def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Record the one outcome; see `Store.finish`."""

        def step(book: Book, now: Moment) -> None:
            result = encode(outcome.result, f"the result of task {claim.task.id}")
            book.finish(claim, outcome, now)
            self._keeper.journal.stage_result(claim.task.id, result)

        await self._run(step)

    async def entries(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first."""
        limit = page_size(limit)

        def step(book: Book, _: Moment) -> list[Entry]:
            journal, recent, end = self._keeper.journal, book.recent(), sys.maxsize
            if before is not None:
                end = next((record.seq for record in recent if record.task.id == before), 0) or journal.seq(before)
            ended = journal.ended(status=status, tag=tag, limit=limit, end=end)
            return newest(recent, ended, status=status, tag=tag, limit=limit, end=end)

        return await self._run(step)

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Dead letters as of the last commit; see `Store.dead_letters`."""
        return await self._run(lambda *_: self._keeper.journal.letters(limit=limit, before=before))

    async def replay(self, task_id: str) -> str:
        """Accept the work of a dead letter as a new task; see `Store.replay`."""

        def step(book: Book, now: Moment) -> str:
            new = book.replay(task_id, now)
            self._keeper.journal.bury(task_id)
            return new

        return await self._run(step)

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters."""

        def step(book: Book, _: Moment) -> int:
            count = self._keeper.journal.bury_all()
            book.forget_dead(count)
            return count

        return await self._run(step)

    async def _run(self, step: Step[T]) -> T:
        if self._writer is None:
            raise EngineStopped("the store is not open")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._writer.put(Job(step, answer))
        return await answer

    def _post(self, step: Step[object]) -> None:
        if self._writer:
            self._writer.put(Job(step, None))

    async def _close(self) -> None:
        if self._writer:
            last: asyncio.Future[None] = self._loop.create_future()
            last.add_done_callback(self._end_writer)
            self._writer.put(Job(lambda *_: None, last))
            await asyncio.shield(self._ended)

    def _end_writer(self, last: asyncio.Future[None]) -> None:
        """Let the thread end behind what its last groups have brought: claims that nobody took are given back."""
        last.exception()  # nothing more can be done about it
        if self._writer:
            self._writer.end()
            self._writer = None

    # In the thread

    def _work(self, jobs: list[Job]) -> None:
        now = Moment(self._clock.monotonic(), self._clock.wall())
        asking = self._asking
        try:
            done = self._keeper.take([job.step for job in jobs], self._serve, self._rules, now)
        except Exception as error:  # noqa: BLE001  # whatever it is, those who wait must hear of it
            self._asking = asking  # what they were to have has not been written down: they go on waiting
            if len(jobs) > 1 and not isinstance(error, StoreUnavailable):
                for job in jobs:  # one by one, so that only the guilty one hears of it
                    self._work([job])
                return
            self._loop.call_soon_threadsafe(self._fail, jobs, error)
        else:
            self._loop.call_soon_threadsafe(self._deliver, jobs, done)

    def _end(self) -> None:
        self._keeper.close()
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    # On the loop

    def _deliver(self, jobs: list[Job], done: Done) -> None:
        self._counts = done.counts
        if self._has_failed:
            self._has_failed = False
            self._ask_after(self._desk.awaited)
        for job, (result, error) in zip(jobs, done.results, strict=True):
            if job.answer and not job.answer.done():
                if error:
                    job.answer.set_exception(error)
                else:
                    job.answer.set_result(result)
        self._desk.tell(done.changes, done.room, done.next_due)
        if done.answer:
            self._give(done.answer)

    def _ask_after(self, ids: Sequence[str]) -> None:
        """Look up what somebody waits for: its news may have been lost when the file failed."""
        assert self._writer is not None

        def resolve(answer: asyncio.Future[Entry | None]) -> None:
            entry = None if answer.cancelled() or answer.exception() else answer.result()
            if entry and entry.state.status.is_terminal:
                self._desk.resolve(entry.state)

        for task_id in ids:
            answer = self._loop.create_future()
            answer.add_done_callback(resolve)
            self._writer.put(Job(lambda book, _, task_id=task_id: book.find(task_id), answer))  # type: ignore[misc]

    def _fail(self, jobs: list[Job], error: Exception) -> None:
        self._has_failed = True
        for job in jobs:
            if job.answer and not job.answer.done():
                job.answer.set_exception(error)
        if self._is_halted:
            self.halt()
        if self._writer:
            self._desk.arm(self._clock.monotonic() + AGAIN_IN)


def _encoded(tasks: Sequence[Task]) -> list[tuple[Task, bytes]]:
    """Each task as it will be read again, and its JSON."""
    specs = [encode_task(task) for task in tasks]
    return [(as_stored(task, spec), spec) for task, spec in zip(tasks, specs, strict=True)]
