"""Runs what a store gives out, a bounded number of tasks at a time."""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from mynah_tasks.attempts import Attempt, Registered, Verdict
from mynah_tasks.clock import AGAIN_IN, Clock
from mynah_tasks.context import set_claim
from mynah_tasks.deadline import Deadline
from mynah_tasks.errors import TaskError, UnknownTaskType
from mynah_tasks.executors import ExecutorKind, Executors, NoPlace
from mynah_tasks.metrics import Metrics
from mynah_tasks.payloads import fresh
from mynah_tasks.profile import Attempted, Profiler
from mynah_tasks.put_off import PutOff
from mynah_tasks.recorder import Recorder, Terms
from mynah_tasks.records import ALONE_FROM, SOLITUDE
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Outcome, Store
from mynah_tasks.task import Task
from mynah_tasks.workers import Worker

log = logging.getLogger(__name__)

LAST_WORDS = 1.0
"""Seconds that cancelled work has for its clean-up, and the store for its answers, when the engine shuts down."""


class Dispatcher:
    """The workers, and what they are at; its block ends within `LAST_WORDS`, with what goes on given back."""

    def __init__(
        self,
        store: Store,
        executors: Executors,
        processors: Mapping[str, Registered],
        terms: Terms,
        *,
        workers: int,
        clock: Clock,
        metrics: Metrics,
        profiler: Profiler | None,
    ) -> None:
        self._store = store
        self._executors = executors
        self._processors = processors
        self._terms = terms
        self._clock = clock
        self._recorder = Recorder(store, terms, clock, metrics)
        self._profiler = profiler
        self._put_offs = PutOff()
        self.workers = [Worker(f"worker-{number}") for number in range(1, workers + 1)]
        self._idle = deque(self.workers)
        self._has_idle = asyncio.Event()
        if self._idle:
            self._has_idle.set()
        self._halted = asyncio.Event()
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._lost: set[tuple[str, int]] = set()
        """Ids and tokens of claims that were revoked on their way from the store."""
        self._settling: set[asyncio.Task[None]] = set()
        self._heavy = 0
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Self:
        self._taking = self._loop.create_task(self._take(), name="task dispatcher")
        self._taking.add_done_callback(_report)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.halt()
        attempts = [attempt for attempt in self._attempts.values() if self._decide(attempt, "interrupted")]
        if attempts:
            log.warning("%d tasks did not end in time and are given back", len(attempts))
        for attempt in attempts:
            attempt.cancel()
            self._keep(self._recorder.give_back(attempt.claim, was_begun=attempt.has_place))
        try:
            if self._going_on():
                async with Deadline(self._clock, LAST_WORDS):
                    await self.all_ended()
        except TimeoutError:
            if self._attempts:
                log.error("%d tasks do not end although they were cancelled", len(self._attempts))  # noqa: TRY400
            if self._settling:
                log.error("%d outcomes were not stored in time", len(self._settling))  # noqa: TRY400
        finally:
            for task in self._going_on():
                task.cancel()

    async def all_ended(self) -> None:
        """Wait for what is going on; after `halt`."""
        while tasks := self._going_on():
            await asyncio.wait(tasks)

    async def _take(self) -> None:
        """Take tasks from the store as workers become idle, until `halt`."""
        while True:
            await self._has_idle.wait()
            if self._halted.is_set():
                return
            try:
                claims = await self._store.claim(len(self._idle), self._has_memory)
            except Exception:  # the loop of the workers: whatever a store raises, it is asked again
                log.warning("no task could be taken, again in %g s", AGAIN_IN, exc_info=True)
                with suppress(TimeoutError):
                    async with Deadline(self._clock, AGAIN_IN):
                        await self._halted.wait()
                continue
            if not claims:
                return
            for claim in claims:
                if (claim.task.id, claim.token) in self._lost:
                    log.info("task %s is not begun: its claim was lost before that", claim.task.id)
                elif self._halted.is_set():
                    await self._recorder.give_back(claim, was_begun=False)
                elif registered := self._processors.get(claim.task.task_type):
                    self._begin(claim, registered)
                else:
                    self._put_off(claim, UnknownTaskType(f"no processor is registered for {claim.task.task_type!r}"))
            self._lost.clear()

    @property
    def is_taking(self) -> bool:
        """Whether tasks are begun as they come."""
        return not self._taking.done()

    @property
    def trouble(self) -> str | None:
        """A code for what keeps tasks from being done; None when nothing does."""
        now = self._clock.monotonic()
        for attempt in self._attempts.values():
            if attempt.claim.crashes >= ALONE_FROM and now < attempt.started + SOLITUDE:
                return "suspect_runs_alone"
        return self._put_offs.trouble(now)

    def halt(self) -> None:
        """Begin nothing more."""
        self._halted.set()
        self._has_idle.set()
        self._store.halt()

    def revoke(self, task_id: str, token: int) -> None:
        """Stop work whose claim is lost, or do not begin it."""
        attempt = self._attempts.get((task_id, token))
        if attempt is None:
            self._lost.add((task_id, token))
        elif self._decide(attempt, "revoked"):
            attempt.cancel()

    def _going_on(self) -> list[asyncio.Task[None]]:
        attempts = [attempt.task for attempt in self._attempts.values() if attempt.task]
        return attempts + [task for task in (*self._settling, self._taking) if not task.done()]

    def _has_memory(self) -> bool:
        return self._heavy == 0 or self._executors.has_memory_beside(self._heavy)

    def _put_off(self, claim: Claim, obstacle: TaskError) -> None:
        """Let a task wait that cannot be done now, its attempt uncounted."""
        delay = self._put_offs.delay(claim.task.task_type, obstacle, self._clock.monotonic())
        self._keep(self._recorder.put_off(claim, delay))

    def _begin(self, claim: Claim, registered: Registered) -> None:
        task = claim.task
        worker = self._idle.popleft()
        if not self._idle:
            self._has_idle.clear()
        worker.status = "busy"
        attempt = Attempt(claim, worker, _kind_of(task, registered), self._clock.monotonic())
        self._attempts[task.id, claim.token] = attempt
        self._heavy += task.memory_intensive
        log.info("%s started task %s (attempt %d)", worker.id, task.id, claim.attempt)
        timeout = self._terms.default_timeout if task.timeout is None else task.timeout
        attempt.task = self._loop.create_task(self._work(attempt, registered, timeout))

    async def _work(self, attempt: Attempt, registered: Registered, timeout: float | None) -> None:
        attempt.has_begun = True
        set_claim(attempt.claim)
        try:
            if not attempt.is_over:
                await self._make(attempt, registered, timeout)
        finally:
            if not attempt.is_over and not self._loop.is_closed():
                self._decide(attempt, TaskStatus.FAILED)
                verdict = Verdict(TaskStatus.FAILED, "ended without an outcome")
                self._keep(self._recorder.settle(attempt.claim, verdict, self._leave(attempt)))
            if attempt.worker:
                self._leave(attempt)
            del self._attempts[attempt.claim.task.id, attempt.claim.token]

    async def _make(self, attempt: Attempt, registered: Registered, timeout: float | None) -> None:
        """Make the attempt; whoever ends it first decides its outcome."""
        claim = attempt.claim
        try:
            if attempt.kind is ExecutorKind.INLINE and not claim.task.memory_intensive:
                self._has_place(attempt, timeout)
                result = registered.processor(fresh(claim.task.payload))
                if hasattr(result, "__await__"):
                    result = await result
            else:
                result = await self._elsewhere(attempt, registered, timeout)
        except (KeyboardInterrupt, GeneratorExit):
            raise  # the end of the program, or of the loop
        except BaseException as error:  # noqa: BLE001  # a processor may raise anything; it ends here
            if isinstance(error, NoPlace) and not attempt.has_place:
                if self._decide(attempt, "put off"):
                    self._leave(attempt)
                    self._put_off(claim, error)
            else:
                await self._fail(attempt, error)
        else:
            if self._decide(attempt, TaskStatus.COMPLETED):
                outcome = Outcome(TaskStatus.COMPLETED, result, None, self._leave(attempt))
                await self._recorder.finish(claim, outcome)

    async def _elsewhere(self, attempt: Attempt, registered: Registered, timeout: float | None) -> Any:
        """Have the work done off the loop, or where it fits into memory."""
        task = attempt.claim.task
        return await self._executors.run(
            attempt.kind,
            registered.processor,
            fresh(task.payload),
            timeout=None if attempt.kind is ExecutorKind.INLINE else timeout,  # the former has its timer
            memory_heavy=task.memory_intensive,
            on_begin=lambda: self._has_place(attempt, timeout),
        )

    def _has_place(self, attempt: Attempt, timeout: float | None) -> None:
        """Let the time of an attempt run, whose work begins now."""
        attempt.has_place = True
        if timeout is not None and attempt.kind is ExecutorKind.INLINE:
            due = self._clock.monotonic() + timeout
            attempt.timer = self._clock.call_at(due, lambda: self._pass_deadline(attempt, timeout))

    async def _fail(self, attempt: Attempt, error: BaseException) -> None:
        verdict = Verdict.on(error, retryable=self._terms.retry.on)
        if self._decide(attempt, verdict.status):
            await self._recorder.settle(attempt.claim, verdict, self._leave(attempt))

    def _pass_deadline(self, attempt: Attempt, timeout: float) -> None:
        """Report at the deadline, whether or not the work ends when it is cancelled."""
        if self._decide(attempt, TaskStatus.TIMEOUT):
            attempt.cancel()
            verdict = Verdict(TaskStatus.TIMEOUT, f"no result after {timeout:g} s")
            self._keep(self._recorder.settle(attempt.claim, verdict, timeout))

    def _keep(self, settling: Coroutine[Any, Any, None]) -> None:
        """Have something written down that nobody waits for but the end of the engine."""
        task = self._loop.create_task(settling)
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _decide(self, attempt: Attempt, ended: str) -> bool:
        """Take the right to say how an attempt ended; false when somebody has taken it."""
        if attempt.is_over:
            return False
        attempt.is_over = True
        self._heavy -= attempt.claim.task.memory_intensive
        if attempt.timer:
            attempt.timer.cancel()
        if self._profiler:
            self._profiler.add(Attempted.of(attempt, ended, self._clock.monotonic()))
        return True

    def _leave(self, attempt: Attempt) -> float:
        """Let the worker go on with something else; how many seconds it was at this."""
        worker, attempt.worker = attempt.worker, None
        took = self._clock.monotonic() - attempt.started
        if worker:
            worker.tasks_processed += 1
            worker.total_execution_time += took
            worker.status = "idle"
            self._idle.append(worker)
            self._has_idle.set()
        return took


def _report(taking: asyncio.Task[None]) -> None:
    if not taking.cancelled() and (error := taking.exception()):
        log.critical("no task is begun any more", exc_info=error)


def _kind_of(task: Task, registered: Registered) -> ExecutorKind:
    """Where a task runs: as its processor wants it, or else as its hints say; a coroutine function needs no thread."""
    if not registered.kind and not task.cpu_intensive and not task.io_bound:
        return ExecutorKind.INLINE
    kind = registered.kind or ExecutorKind.for_hints(cpu_intensive=task.cpu_intensive, io_bound=task.io_bound)
    return ExecutorKind.INLINE if registered.is_async and kind is not ExecutorKind.PROCESS else kind
