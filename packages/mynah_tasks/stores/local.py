"""What the stores of one machine have in common: a book, and a desk that tells those who wait."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NamedTuple, TypeVar

from mynah_tasks.book import Book
from mynah_tasks.clock import Clock
from mynah_tasks.records import Moment
from mynah_tasks.stores import Claim, Counts, Listener, Outcome, Rules
from mynah_tasks.stores.desk import Desk
from mynah_tasks.task import Entry, Task, TaskResult

T = TypeVar("T")

Step = Callable[[Book, Moment], T]


class Asking(NamedTuple):
    """Somebody who asks for claims."""

    limit: int
    heavy: Callable[[], bool]
    answer: asyncio.Future[list[Claim]]


class Answer(NamedTuple):
    """What they are given."""

    asking: Asking
    claims: list[Claim]


class LocalStore(ABC):
    """Runs steps of the book one after the other; a step's result is given only when the step has been written down."""

    durable: bool
    name: str

    def __init__(self) -> None:
        self._asking: Asking | None = None
        self._is_halted = False

    def attach(self, listener: Listener, rules: Rules, clock: Clock) -> None:
        """Say who listens, which rules hold, and whose timers to use; before opening."""
        self._rules = rules
        self._clock = clock
        self._desk = Desk(listener, clock, lambda: self._post(lambda book, now: book.tick(now)))

    @property
    @abstractmethod
    def counts(self) -> Counts:
        """How many tasks there are."""

    def add(self, tasks: Sequence[Task]) -> Coroutine[Any, Any, list[str]]:
        """Accept all or none; see `Store.add`."""
        return self._run(lambda book, now: book.add(tasks, now))

    async def room(self, count: int) -> None:
        """Wait until so many tasks more may wait."""
        await self._desk.room(count)

    async def claim(self, limit: int, heavy: Callable[[], bool]) -> list[Claim]:
        """Wait for ready tasks; see `Store.claim`."""
        if self._is_halted:
            return []
        asking = Asking(limit, heavy, asyncio.get_running_loop().create_future())
        try:
            await self._run(lambda *_: self._ask(asking))
            if self._is_halted and not asking.answer.done():
                asking.answer.set_result([])
            return await asking.answer
        except BaseException:  # whoever asked has gone or will ask again
            if not asking.answer.cancel() and not asking.answer.cancelled():
                self._give(Answer(asking, asking.answer.result()))
            raise

    def halt(self) -> None:
        """Hand out no more claims."""
        self._is_halted = True
        asking = self._asking  # a thread may be about to serve them
        if asking and not asking.answer.done():
            asking.answer.set_result([])

    def finish(self, claim: Claim, outcome: Outcome) -> Coroutine[Any, Any, None]:
        """Record the one outcome; see `Store.finish`."""
        return self._run(lambda book, now: book.finish(claim, outcome, now))

    def retry(self, claim: Claim, error: str, delay: float) -> Coroutine[Any, Any, None]:
        """Let the task wait for its next attempt; see `Store.retry`."""
        return self._run(lambda book, now: book.retry(claim, error, delay, now))

    def release(self, claim: Claim, delay: float = 0.0) -> Coroutine[Any, Any, None]:
        """Give the task back, its attempt uncounted; see `Store.release`."""
        return self._run(lambda book, now: book.release(claim, now, delay))

    def cancel(self, task_id: str, reason: str) -> Coroutine[Any, Any, list[str]]:
        """End a task and all that depends on it; see `Store.cancel`."""
        return self._run(lambda book, now: book.cancel(task_id, reason, now))

    def get(self, task_id: str) -> Coroutine[Any, Any, Entry | None]:
        """The task and how far it is."""
        return self._run(lambda book, _: book.find(task_id))

    async def wait(self, task_id: str) -> TaskResult:
        """Wait for the task's outcome; see `Store.wait`."""
        return await self._desk.outcome(task_id, self.get)

    @abstractmethod
    async def _run(self, step: Step[T]) -> T:
        """Take a step of the book, write down what it changed, tell the desk, and give its result."""

    @abstractmethod
    def _post(self, step: Step[object]) -> None:
        """The same for a step whose result nobody waits for."""

    def _ask(self, asking: Asking) -> None:
        self._asking = asking

    def _serve(self, book: Book, now: Moment) -> Answer | None:
        """Let whoever asks have what can be claimed now; the end of every step."""
        asking = self._asking
        if asking is None or self._is_halted or asking.answer.done():
            return None
        claims = book.claim(asking.limit, asking.heavy, now)
        if not claims:
            return None
        self._asking = None
        return Answer(asking, claims)

    def _give(self, answer: Answer) -> None:
        """Hand over what has been claimed, or back if whoever asked has gone."""
        if not answer.asking.answer.done():
            answer.asking.answer.set_result(answer.claims)
            return
        for claim in answer.claims:
            self._post(lambda book, now, claim=claim: book.release(claim, now))  # type: ignore[misc]  # binds the claim
