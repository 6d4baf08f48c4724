"""A store without a disk: fast, and gone with its process."""

import sys
from itertools import chain
from types import TracebackType
from typing import Self, TypeVar

from mynah_tasks.book import Book
from mynah_tasks.errors import EngineStopped
from mynah_tasks.records import Moment, newest, page_size
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Counts
from mynah_tasks.stores.local import LocalStore, Step
from mynah_tasks.stores.shelf import Shelf
from mynah_tasks.task import DeadLetter, Entry, TaskResult

T = TypeVar("T")


class MemoryStore(LocalStore):
    """Keeps tasks in this object: closed and opened again, it still has them.

    Of the tasks that have ended it remembers the last `keep`, and as many dead letters.
    """

    durable = False
    name = "in-memory"
    trouble = None

    def __init__(self, *, keep: int = 10_000) -> None:
        super().__init__()
        self._shelf = Shelf(keep)
        self._book: Book | None = None
        self._is_open = False

    async def __aenter__(self) -> Self:
        self._is_open, self._is_halted = True, False
        if self._book is None:
            self._book = Book(self._rules, self._shelf)
        self._desk.open()
        self._post(lambda book, now: book.take_over(now))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.halt()
        self._is_open = False
        self._desk.close()

    @property
    def counts(self) -> Counts:
        """How many tasks there are."""
        return self._book.counts if self._book else Counts()

    async def get(self, task_id: str) -> Entry | None:
        """The task and how far it is."""
        return self._opened().find(task_id)

    async def wait(self, task_id: str) -> TaskResult:
        """Wait for the task's outcome; see `Store.wait`."""
        self._opened()
        return self._shelf.outcome(task_id) or await super().wait(task_id)

    async def entries(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first."""
        live, ended, end = self._opened().live(), self._shelf.all(), sys.maxsize
        if before is not None:
            end = next((record.seq for record in chain(live, ended) if record.task.id == before), 0)
        listed = (each for each in ended if each.is_listed(status, tag, end))
        return newest(live, listed, status=status, tag=tag, limit=page_size(limit), end=end)

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Dead letters; see `Store.dead_letters`."""
        self._opened()
        return [DeadLetter.of(record.entry) for record in self._shelf.dead(before)[: max(0, limit)]]

    async def replay(self, task_id: str) -> str:
        """Accept the work of a dead letter as a new task; see `Store.replay`."""

        def step(book: Book, now: Moment) -> str:
            new = book.replay(task_id, now)
            self._shelf.bury(task_id)
            return new

        return await self._run(step)

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters."""

        def step(book: Book, _: Moment) -> int:
            count = self._shelf.bury_all()
            book.forget_dead(count)
            return count

        return await self._run(step)

    async def _run(self, step: Step[T]) -> T:
        return self._take(step)

    def _post(self, step: Step[object]) -> None:
        self._take(step)

    def _take(self, step: Step[T]) -> T:
        book = self._opened()
        now = Moment(self._clock.monotonic(), self._clock.wall())
        result = step(book, now)
        answer = self._serve(book, now) if self._asking else None
        changes = book.take_changes()
        for record in changes.ended:
            if crowded_out := self._shelf.put(record):
                book.forget_dead(crowded_out)
        self._desk.tell(changes, book.room, book.next_due)
        if answer:
            self._give(answer)
        return result

    def _opened(self) -> Book:
        if not self._is_open or self._book is None:
            raise EngineStopped("the store is not open")
        return self._book
