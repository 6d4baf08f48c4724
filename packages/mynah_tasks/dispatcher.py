"""Runs what a store gives out, a bounded number of tasks at a time."""

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.attempts import Attempt, Registered, Verdict
from mynah_tasks.clock import Clock
from mynah_tasks.context import set_claim
from mynah_tasks.deadline import Deadline, pause
from mynah_tasks.errors import NotStorable, StaleClaim, TaskError, UnknownTaskType
from mynah_tasks.executors import ExecutorKind, Executors, free_memory
from mynah_tasks.metrics import Metrics
from mynah_tasks.profile import Attempted, Profiler
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Outcome, Store
from mynah_tasks.workers import Worker

log = logging.getLogger(__name__)

BACK_OFF = 1.0
"""Seconds before a store that failed is asked again."""
HEAVY = 512 * 2**20
"""Bytes that must be free for a memory-intensive task beside another one."""
LAST_WORDS = 1.0
"""Seconds that cancelled work has for its clean-up when the engine shuts down."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all attempts."""

    default_timeout: float | None
    """Seconds; for tasks that name none."""
    retry: RetryPolicy
    """How long to wait before which retry, and after which errors; how many there may be is the task's."""
    chance: Callable[[], float]
    """A random number from 0 to 1, for the jitter."""


class Dispatcher:
    """The workers, and what they are at."""

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
        self._metrics = metrics
        self._profiler = profiler
        self.workers = [Worker(f"worker-{number}") for number in range(1, workers + 1)]
        self._idle = deque(self.workers)
        self._has_idle = asyncio.Event()
        if self._idle:
            self._has_idle.set()
        self._halted = asyncio.Event()
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._heavy = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """How many attempts are going on."""
        return len(self._attempts)

    async def run(self) -> None:
        """Take tasks from the store as workers become idle, until `halt`."""
        while True:
            await self._has_idle.wait()
            if self._halted.is_set():
                return
            try:
                claims = await self._store.claim(len(self._idle), self._has_memory)
            except Exception:
                log.warning("no task could be taken, again in %g s", BACK_OFF, exc_info=True)
                with suppress(TimeoutError):
                    async with Deadline(self._clock, BACK_OFF):
                        await self._halted.wait()
                continue
            for claim in claims:
                if self._halted.is_set():
                    await self._give_back(claim, was_begun=False)
                else:
                    self._begin(claim)

    def halt(self) -> None:
        """Begin nothing more."""
        self._halted.set()
        self._has_idle.set()
        self._store.halt()

    def revoke(self, task_id: str, token: int) -> None:
        """Stop work whose claim is lost."""
        attempt = self._attempts.get((task_id, token))
        if attempt and self._decide(attempt):
            self._note(attempt, "revoked")
            self._cancel(attempt)

    async def finish(self, timeout: float | None) -> None:  # by the engine's clock
        """Wait for what is going on; what takes longer is stopped and given back to the store."""
        try:
            async with Deadline(self._clock, timeout):
                await self._all_ended()
        except TimeoutError:
            attempts = [attempt for attempt in self._attempts.values() if self._decide(attempt)]
            log.warning("%d tasks did not end within %s s and are given back", len(attempts), timeout)
            for attempt in attempts:
                self._note(attempt, "interrupted")
                self._cancel(attempt)
            await asyncio.gather(*(self._give_back(attempt.claim, was_begun=True) for attempt in attempts))
            try:
                async with Deadline(self._clock, LAST_WORDS):
                    await self._all_ended()
            except TimeoutError:
                log.error("%d tasks do not end although they were cancelled", len(self._tasks))  # noqa: TRY400
                for stubborn in self._tasks:
                    stubborn.cancel()

    async def _all_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _has_memory(self) -> bool:
        return self._heavy == 0 or free_memory() >= HEAVY

    def _begin(self, claim: Claim) -> None:
        task = claim.task
        worker = self._idle.popleft()
        if not self._idle:
            self._has_idle.clear()
        worker.status = "busy"
        registered = self._processors.get(task.task_type)
        kind = (registered and registered.kind) or ExecutorKind.for_hints(
            cpu_intensive=task.cpu_intensive, io_bound=task.io_bound
        )
        attempt = Attempt(claim, worker, kind, self._clock.monotonic())
        self._attempts[task.id, claim.token] = attempt
        self._heavy += task.memory_intensive
        log.info("%s started task %s (attempt %d)", worker.id, task.id, claim.attempt)
        attempt.task = asyncio.create_task(self._work(attempt, registered))
        self._tasks.add(attempt.task)
        attempt.task.add_done_callback(lambda done: self._gone(attempt, done))

    async def _work(self, attempt: Attempt, registered: Registered | None) -> None:
        set_claim(attempt.claim)
        try:
            result = await self._execute(attempt, registered)
        except asyncio.CancelledError as error:
            if attempt.is_over:
                return
            if asyncio.current_task().cancelling():  # type: ignore[union-attr]  # there is one: this
                raise
            verdict = Verdict.on(error, retryable=self._terms.retry.on)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a processor may raise anything; it ends here
            verdict = Verdict.on(error, retryable=self._terms.retry.on)
        else:
            verdict = Verdict(TaskStatus.COMPLETED, result)
        if self._decide(attempt):
            self._leave(attempt)
            await self._settle(attempt, verdict)

    async def _execute(self, attempt: Attempt, registered: Registered | None) -> Any:
        task = attempt.claim.task
        if registered is None:
            raise UnknownTaskType(f"no processor is registered for {task.task_type!r}")
        timeout = self._terms.default_timeout if task.timeout is None else task.timeout
        if attempt.kind is not ExecutorKind.INLINE:
            return await self._executors.run(
                attempt.kind, registered.processor, task.payload, timeout=timeout, memory_heavy=task.memory_intensive
            )
        if timeout is not None:
            attempt.timer = self._clock.call_at(
                attempt.started + timeout, lambda: self._pass_deadline(attempt, timeout)
            )
        if task.memory_intensive:
            return await self._executors.run(
                attempt.kind, registered.processor, task.payload, timeout=None, memory_heavy=True
            )
        result = registered.processor(task.payload)
        return await result if inspect.isawaitable(result) else result

    def _pass_deadline(self, attempt: Attempt, timeout: float) -> None:
        """Report at the deadline, whether or not the work ends when it is cancelled."""
        if self._decide(attempt):
            self._cancel(attempt)
            verdict = Verdict(TaskStatus.TIMEOUT, error=f"no result after {timeout:g} s", is_final=False)
            self._spawn(self._settle(attempt, verdict))

    def _decide(self, attempt: Attempt) -> bool:
        """Take the right to say how an attempt ended; false when somebody has taken it."""
        if attempt.is_over:
            return False
        attempt.is_over = True
        self._heavy -= attempt.claim.task.memory_intensive
        if attempt.timer:
            attempt.timer.cancel()
        return True

    def _cancel(self, attempt: Attempt) -> None:
        if attempt.task:
            attempt.task.cancel()

    def _leave(self, attempt: Attempt) -> None:
        """Let the worker go on with something else; its claim will stand behind this outcome in the store's books."""
        worker, attempt.worker = attempt.worker, None
        if worker is None:
            return
        took = self._clock.monotonic() - attempt.started
        worker.tasks_processed += 1
        worker.total_execution_time += took
        worker.status = "idle"
        self._idle.append(worker)
        self._has_idle.set()

    def _gone(self, attempt: Attempt, done: asyncio.Task[None]) -> None:
        """The work has really ended."""
        self._tasks.discard(done)
        del self._attempts[attempt.claim.task.id, attempt.claim.token]
        self._leave(attempt)
        if not done.cancelled() and (error := done.exception()):
            log.critical("task %s could not be settled", attempt.claim.task.id, exc_info=error)

    async def _settle(self, attempt: Attempt, verdict: Verdict) -> None:
        """Have the store write down what came of an attempt, as often as it takes."""
        claim, took = attempt.claim, self._clock.monotonic() - attempt.started
        self._note(attempt, verdict.status)
        self._metrics.timeouts += verdict.status is TaskStatus.TIMEOUT
        while True:
            try:
                if verdict.is_final or claim.attempt > claim.task.max_retries:
                    await self._store.finish(claim, Outcome(verdict.status, verdict.result, verdict.error, took))
                else:
                    delay = self._terms.retry.delay(claim.attempt, self._terms.chance())
                    await self._store.retry(claim, verdict.error or "", delay)
                    self._metrics.retries += 1
                    log.warning("task %s goes for another attempt in %.1f s: %s", claim.task.id, delay, verdict.error)
            except StaleClaim:
                log.info("attempt %d of task %s ended too late: %s", claim.attempt, claim.task.id, verdict.status)
            except NotStorable as error:
                verdict = Verdict(TaskStatus.FAILED, error=f"NotStorable: {error}")
                continue
            except Exception:  # whatever a store raises, the outcome must get into it
                log.warning("outcome of task %s not stored, again in %g s", claim.task.id, BACK_OFF, exc_info=True)
                await pause(self._clock, BACK_OFF)
                continue
            return

    async def _give_back(self, claim: Claim, *, was_begun: bool) -> None:
        """Let another engine begin the task anew, unless it was begun and may be only once."""
        try:
            if claim.task.max_retries or not was_begun:
                await self._store.release(claim)
            else:
                error = "interrupted by a shutdown, and may be begun only once: whether it took effect is unknown"
                await self._store.finish(claim, Outcome(TaskStatus.FAILED, error=error))
        except TaskError as error:
            log.warning("task %s could not be given back: %s", claim.task.id, error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _note(self, attempt: Attempt, ended: str) -> None:
        if self._profiler is None:
            return
        task = attempt.claim.task
        self._profiler.add(
            Attempted(
                task_id=task.id,
                task_type=task.task_type,
                tags=task.tags,
                attempt=attempt.claim.attempt,
                worker=attempt.worker_id,
                kind=attempt.kind,
                ended=ended,
                waited=attempt.claim.waited,
                took=self._clock.monotonic() - attempt.started,
            )
        )
