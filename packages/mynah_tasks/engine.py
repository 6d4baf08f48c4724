"""Runs tasks: accepts them into a store, has them worked on, and says what became of them."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, NoReturn, Self

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.attempts import Processor, Registered
from mynah_tasks.clock import Clock, SystemClock
from mynah_tasks.deadline import Deadline
from mynah_tasks.dispatcher import Dispatcher
from mynah_tasks.errors import EngineStopped, QueueFull, UnknownTask, UnknownTaskType, Unretryable
from mynah_tasks.executors import ExecutorKind, Executors, Load
from mynah_tasks.health import judge
from mynah_tasks.metrics import Metrics
from mynah_tasks.presets import PROCESSOR, Preset
from mynah_tasks.profile import Profiler
from mynah_tasks.recorder import Terms
from mynah_tasks.reports import Publisher, Reports
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Rules, Store
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import DAMAGED, DeadLetter, Entry, Task, TaskResult, check_timeout

log = logging.getLogger(__name__)

LONGEST_CLOSE = 8.0
"""Seconds that a store has to write what is outstanding, on a disk or a server that may hang."""


class TaskEngine:
    """Accepts tasks, works on at most `max_workers` of them at a time, and keeps its word about each.

    Publishes, where `events` are given: `queue_full` (a dict: queue_size, capacity), and `task_completed`,
    `task_failed`, `task_cancelled` and `task_timeout` (a TaskResult).
    """

    def __init__(  # noqa: PLR0913  # the names under which users of task processors know these
        self,
        store: Store | None = None,
        *,
        max_workers: int = PROCESSOR.workers,
        max_thread_workers: int = 5,
        max_process_workers: int = 2,
        queue_size: int = PROCESSOR.capacity,
        default_timeout: float | None = PROCESSOR.timeout,
        enable_monitoring: bool = True,
        enable_profiling: bool = False,
        ageing: float | None = 60.0,
        retry: RetryPolicy | None = None,
        executors: Executors | None = None,
        events: Publisher | None = None,
        clock: Clock | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        if default_timeout is not None:
            check_timeout(default_timeout)
        self._store: Store = store or MemoryStore()
        self._max_workers = max_workers
        self._rules = Rules(capacity=queue_size, ageing=ageing)
        self._terms = Terms(default_timeout, retry or RetryPolicy(), chance)
        self._executors = executors or Executors(threads=max_thread_workers, processes=max_process_workers)
        self._events = events
        self._clock = clock or SystemClock()
        self._monitoring = enable_monitoring
        self.profiler = Profiler() if enable_profiling else None
        self._processors = {DAMAGED: Registered(_refuse)}
        self._metrics = Metrics(self._clock.monotonic())
        self._stack: AsyncExitStack | None = None
        self._is_accepting = False

    @classmethod
    def sized(cls, preset: Preset, store: Store | None = None, **others: Any) -> Self:
        """An engine of one of the known sizes; `others` as for the class."""
        return cls(
            store,
            max_workers=preset.workers,
            queue_size=preset.capacity,
            default_timeout=preset.timeout,
            **others,
        )

    def register_processor(self, task_type: str, processor: Processor, *, kind: ExecutorKind | None = None) -> None:
        """Have tasks of this type done by `processor(payload)`, from now on, where `kind` or else their hints say."""
        self._processors[task_type] = Registered(processor, kind)

    # Life

    async def start(self) -> None:
        """Open the store and begin to work."""
        if self._stack:
            raise RuntimeError("the engine is running")
        self._metrics = Metrics(self._clock.monotonic())
        self._dispatcher = Dispatcher(
            self._store,
            self._executors,
            self._processors,
            self._terms,
            workers=self._max_workers,
            clock=self._clock,
            metrics=self._metrics,
            profiler=self.profiler,
        )
        metrics = self._metrics if self._monitoring else None
        self._reports = Reports(metrics, self._events, self._clock, self._dispatcher.revoke)
        self._store.attach(self._reports, self._rules, self._clock)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._executors)
            await self._store.__aenter__()
            stack.push_async_callback(self._close_store)
            stack.push_async_callback(self._reports.all_published)
            await stack.enter_async_context(self._dispatcher)
            self._stack = stack.pop_all()
        self._is_accepting = True
        log.info("Async task queue started (%d workers, %s)", self._max_workers, self._store.name)

    async def shutdown(self, timeout: float = 30.0) -> None:  # by the engine's clock
        """Take nothing more in, end what is running, within `timeout` seconds, and close; harmless when not running.

        What was accepted and is not done stays in the store. One that does not outlive the process is worked off first,
        as far as the time allows. Cancelled, it stops what is running at once, and closes.
        """
        if self._stack is None:
            return
        self._is_accepting = False
        stack, self._stack = self._stack, None
        async with stack:
            with suppress(TimeoutError):
                async with Deadline(self._clock, timeout):
                    if self._max_workers and not self._store.durable:
                        await self._reports.until(
                            lambda: not (self._store.counts.pending or self._store.counts.running)
                        )
                    self._dispatcher.halt()
                    await self._dispatcher.all_ended()
        if left := self._store.counts.pending:
            log.log(logging.INFO if self._store.durable else logging.WARNING, "%d tasks stay in the queue", left)

    async def _close_store(self) -> None:
        """Close it, also while this is cancelled: whoever opens it next must find it closed."""
        closing = asyncio.create_task(self._store.__aexit__(None, None, None), name="task store closes")
        try:
            await asyncio.wait([closing], timeout=LONGEST_CLOSE)
        except asyncio.CancelledError:
            await asyncio.wait([closing], timeout=LONGEST_CLOSE)
            raise
        finally:
            if closing.done():
                closing.result()
            else:
                closing.cancel()
                log.error("the %s store was not closed after %g s", self._store.name, LONGEST_CLOSE)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.shutdown()

    # Work

    async def submit(self, task: Task, *, wait: float = 0.0) -> str:
        """Accept a task, written down when this returns; its id. Waits `wait` seconds for room, else raises QueueFull.

        Raises UnknownTaskType, DuplicateTask, UnknownDependency, NotStorable, StoreUnavailable, EngineStopped.
        """
        return (await self.submit_all((task,), wait=wait))[0]

    submit_task = submit

    async def submit_all(self, tasks: Sequence[Task], *, wait: float = 0.0) -> list[str]:
        """Accept all of them or none, in one step; they may depend on each other. Otherwise like `submit`."""
        if not self._is_accepting:
            raise EngineStopped("the engine takes no tasks: it is not running")
        for task in tasks:
            if task.task_type not in self._processors and self._max_workers:
                raise UnknownTaskType(f"no processor is registered for {task.task_type!r}")
        try:
            ids = await self._store.add(tasks)
        except QueueFull:
            ids = await self._add_late(tasks, self._clock.monotonic() + wait)
        fresh = [task.id for task, task_id in zip(tasks, ids, strict=True) if task.id == task_id]
        self._metrics.enqueued += len(fresh)
        if log.isEnabledFor(logging.INFO):
            for task_id in fresh:
                log.info("task %s enqueued (queue size %d)", task_id, self._store.counts.pending)
        return ids

    async def _add_late(self, tasks: Sequence[Task], until: float) -> list[str]:
        """Wait for room until then, in monotonic seconds; raises QueueFull."""
        while len(tasks) <= self._rules.capacity and (left := until - self._clock.monotonic()) > 0:
            with suppress(TimeoutError):
                async with Deadline(self._clock, left):
                    await self._store.room(len(tasks))
            with suppress(QueueFull):  # somebody was faster
                return await self._store.add(tasks)
        queue_size = self._store.counts.pending
        self._reports.queue_full(queue_size, self._rules.capacity)
        raise QueueFull(f"{queue_size} tasks wait and {self._rules.capacity} may")

    async def cancel_task(self, task_id: str, reason: str = "cancelled") -> list[str]:
        """Cancel a task and all that depends on it; the ids of what was cancelled, none if it was over or unknown.

        Work that runs is cancelled too; where it cannot be, in a thread, its result is thrown away.
        """
        return await self._store.cancel(task_id, reason)

    async def wait_for_task(self, task_id: str, timeout: float | None = None) -> TaskResult:
        """Wait for a task's outcome, at most `timeout` seconds; raises TimeoutError, UnknownTask or EngineStopped."""
        if timeout is None:
            return await self._store.wait(task_id)
        async with Deadline(self._clock, timeout):
            return await self._store.wait(task_id)

    async def get_task(self, task_id: str) -> Entry:
        """A task and how far it is; raises UnknownTask."""
        entry = await self._store.get(task_id)
        if entry is None:
            raise UnknownTask(f"there is no task {task_id}")
        return entry

    async def get_task_status(self, task_id: str) -> TaskStatus:
        """How far a task is; raises UnknownTask."""
        return (await self.get_task(task_id)).state.status

    async def get_task_result(self, task_id: str) -> TaskResult | None:
        """What became of a task; None while it has not ended. Raises UnknownTask."""
        state = (await self.get_task(task_id)).state
        return state if state.status.is_terminal else None

    async def list_tasks(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first; `before` is the id of the last one of the page before."""
        return await self._store.entries(status=status, tag=tag, limit=limit, before=before)

    # Dead letters

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Tasks that ended in failure or timeout, the newest first; `before` as in `list_tasks`."""
        return await self._store.dead_letters(limit=limit, before=before)

    async def replay(self, task_id: str) -> str:
        """Do a dead letter's work anew, as a task of its own; its id. Raises UnknownTask or QueueFull."""
        return await self._store.replay(task_id)

    async def replay_all(self) -> list[str]:
        """Do the work of all dead letters anew, the oldest first, as far as the queue has room; the new ids."""
        letters: list[DeadLetter] = []
        while page := await self._store.dead_letters(before=letters[-1].task_id if letters else None):
            letters += page
        new: list[str] = []
        with suppress(QueueFull):
            for letter in reversed(letters):
                with suppress(UnknownTask):  # somebody else has replayed it meanwhile
                    new.append(await self._store.replay(letter.task_id))
        return new

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters; how many there were."""
        return await self._store.clear_dead_letters()

    # Numbers

    def get_performance_metrics(self) -> dict[str, Any]:
        """What has been done since the start, as the asynchronous processor reports it; success in percent."""
        workers = self._dispatcher.workers if self._stack else []
        return self._metrics.processor_view(self._store.counts, workers, self._clock.monotonic())

    def queue_metrics(self) -> dict[str, int | float]:
        """What has been done since the start, as the asynchronous task queue reports it; success as a fraction."""
        return self._metrics.queue_view(self._store.counts, self._max_workers if self._stack else 0)

    def load(self) -> Load:
        """What the threads and processes are doing, those that hang included."""
        return self._executors.load()

    def health(self) -> dict[str, Any]:
        """Whether the engine can be relied on: status, and a reason or the metrics."""
        verdict = judge(
            is_running=self._stack is not None and self._dispatcher.is_taking,
            queue_size=self._store.counts.pending,
            capacity=self._rules.capacity,
            recent_success_rate=self._metrics.recent_success_rate,
            trouble=self._trouble(),
        )
        return verdict.to_dict(self.get_performance_metrics())

    def _trouble(self) -> str | None:
        """A code for what is wrong with the store, the executors, or what tasks need; None when nothing is."""
        if self._stack is None:
            return None
        return self._store.trouble or self._executors.trouble or self._dispatcher.trouble


def _refuse(_: object) -> NoReturn:
    raise Unretryable("what was stored of it cannot be read")
