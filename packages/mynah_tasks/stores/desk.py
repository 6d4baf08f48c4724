"""Tells those who wait for something in a store on this machine."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from mynah_tasks.book import Changes
from mynah_tasks.clock import AGAIN_IN, Clock, Timer
from mynah_tasks.deadline import Deadline
from mynah_tasks.errors import EngineStopped, StoreUnavailable, UnknownTask
from mynah_tasks.stores import Listener
from mynah_tasks.task import Entry, TaskResult


class Desk:
    """Passes news on to the listener, to those who wait for an outcome or for room, and to the one timer."""

    def __init__(self, listener: Listener, clock: Clock, on_due: Callable[[], None]) -> None:
        self._listener = listener
        self._clock = clock
        self._on_due = on_due
        self._waiting: dict[str, list[asyncio.Future[TaskResult]]] = {}
        self._queueing: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._room = 0
        self._is_open = False
        self._armed_for: float | None = None
        self._timer: Timer | None = None

    @property
    def awaited(self) -> list[str]:
        """The ids of the tasks whose outcome somebody waits for."""
        return list(self._waiting)

    def open(self) -> None:
        """Let people come."""
        self._is_open = True

    def tell(self, changes: Changes, room: int, next_due: float | None) -> None:
        """Pass on what has been written down, how many tasks more may wait, and when the book is due (monotonic)."""
        for record in changes.ended:
            assert record.outcome is not None
            self._listener.finished(record.task, record.outcome)
            self.resolve(record.outcome)
        for task_id, token in changes.revoked:
            self._listener.revoked(task_id, token)
        self._room = room
        if self._queueing:
            self._let_in()
        if next_due != self._armed_for:
            self.arm(next_due)

    def resolve(self, state: TaskResult) -> None:
        """Give the outcome to those who wait for it."""
        for future in self._waiting.pop(state.task_id, ()):
            if not future.done():
                future.set_result(state)

    def arm(self, when: float | None) -> None:
        """Have the timer ring then, or not at all."""
        if self._timer:
            self._timer.cancel()
        self._armed_for = when
        self._timer = None if when is None else self._clock.call_at(when, self._ring)

    async def outcome(self, task_id: str, find: Callable[[str], Awaitable[Entry | None]]) -> TaskResult:
        """What becomes of a task, as `find` knows or as the news has it; raises UnknownTask, EngineStopped."""
        self._check()
        # Expected first: what ends between the question and its answer is not missed.
        future: asyncio.Future[TaskResult] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(task_id, []).append(future)
        try:
            while not future.done():
                try:
                    entry = await find(task_id)
                except StoreUnavailable:
                    await self._wait_a_little_for(future)
                    continue
                if entry is None:
                    raise UnknownTask(f"there is no task {task_id}")
                if entry.state.status.is_terminal:
                    return entry.state
                break
            return await future
        finally:
            self._forget(task_id, future)

    async def _wait_a_little_for(self, future: asyncio.Future[TaskResult]) -> None:
        with suppress(TimeoutError):
            async with Deadline(self._clock, AGAIN_IN):
                await asyncio.wait([future])

    def _forget(self, task_id: str, future: asyncio.Future[TaskResult]) -> None:
        """Wait no longer."""
        futures = self._waiting.get(task_id)
        if futures and future in futures:
            futures.remove(future)
            if not futures:
                del self._waiting[task_id]
        if future.done() and not future.cancelled():
            future.exception()  # seen, even if it came too late for anybody

    async def room(self, count: int) -> None:
        """Wait until so many tasks more may wait, first come, first served."""
        self._check()
        if self._room >= count and not self._queueing:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queueing.append((count, future))
        try:
            await future
        except asyncio.CancelledError:
            if (count, future) in self._queueing:
                self._queueing.remove((count, future))
            self._let_in()
            raise

    def close(self) -> None:
        """Turn everybody away."""
        self._is_open = False
        self.arm(None)
        waiting: list[asyncio.Future[Any]] = [future for futures in self._waiting.values() for future in futures]
        waiting += [future for _, future in self._queueing]
        for future in waiting:
            if not future.done():
                future.set_exception(EngineStopped("the store was closed"))

    def _check(self) -> None:
        if not self._is_open:
            raise EngineStopped("the store is not open")

    def _ring(self) -> None:
        self._timer = self._armed_for = None
        self._on_due()

    def _let_in(self) -> None:
        """Wake the first one if there is room for it; what it adds will be news, which wakes the next one."""
        while self._queueing and self._queueing[0][0] <= self._room:
            _, future = self._queueing.popleft()
            if not future.done():
                future.set_result(None)
                return
