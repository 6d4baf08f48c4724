"""Sees to it that the end of an attempt gets into the store."""

import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.attempts import Verdict
from mynah_tasks.clock import AGAIN_IN, Clock
from mynah_tasks.deadline import pause
from mynah_tasks.errors import EngineStopped, NotStorable, StaleClaim, TaskError
from mynah_tasks.metrics import Metrics
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Outcome, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all attempts."""

    default_timeout: float | None
    """Seconds; for tasks that name none."""
    retry: RetryPolicy
    """How long to wait before which retry, and after which errors; how many there may be is the task's."""
    chance: Callable[[], float]
    """A random number from 0 to 1, for the jitter."""


class Recorder:
    """Writes down what came of attempts, as often as it takes."""

    def __init__(self, store: Store, terms: Terms, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._terms = terms
        self._clock = clock
        self._metrics = metrics

    def finish(self, claim: Claim, outcome: Outcome) -> Coroutine[Any, Any, None]:
        """Record the outcome of a task; what cannot be stored has failed."""
        return self._insist(claim, lambda: self._store.finish(claim, outcome), outcome.execution_time)

    async def settle(self, claim: Claim, verdict: Verdict, took: float) -> None:
        """Have an attempt that did not succeed followed by another, or record the outcome."""
        self._metrics.timeouts += verdict.status is TaskStatus.TIMEOUT
        if verdict.is_final or claim.attempt > claim.task.max_retries:
            await self.finish(claim, Outcome(verdict.status, None, verdict.error, took))
            return
        delay = self._terms.retry.delay(claim.attempt, self._terms.chance())
        self._metrics.retries += 1
        log.warning("task %s goes for another attempt in %.1f s: %s", claim.task.id, delay, verdict.error)
        await self._insist(claim, lambda: self._store.retry(claim, verdict.error, delay))

    def put_off(self, claim: Claim, delay: float) -> Coroutine[Any, Any, None]:
        """Have the task wait for so many seconds as if it had not been claimed."""
        return self._insist(claim, lambda: self._store.release(claim, delay))

    async def give_back(self, claim: Claim, *, was_begun: bool) -> None:
        """Let another engine begin the task anew, this attempt uncounted, unless it was begun and may be only once."""
        try:
            if claim.task.max_retries or not was_begun:
                await self._store.release(claim)
            else:
                error = "interrupted by a shutdown, and may be begun only once: whether it took effect is unknown"
                await self._store.finish(claim, Outcome(TaskStatus.FAILED, error=error))
        except TaskError as error:
            log.warning("task %s could not be given back: %s", claim.task.id, error)

    async def _insist(self, claim: Claim, write: Callable[[], Awaitable[None]], took: float = 0.0) -> None:
        """Write until the store has it, the attempt no longer holds the task, or the store has been closed."""
        while True:
            try:
                await write()
            except NotStorable as error:
                failure = Outcome(TaskStatus.FAILED, None, f"NotStorable: {error}", took)
                write = partial(self._store.finish, claim, failure)
                continue
            except StaleClaim:
                log.info("attempt %d of task %s ended too late", claim.attempt, claim.task.id)
            except EngineStopped:
                told = "the outcome of attempt %d of task %s found the store closed"
                log.warning(told, claim.attempt, claim.task.id)
            except Exception:  # whatever a store raises, the outcome must get into it
                log.warning("end of task %s not stored, again in %g s", claim.task.id, AGAIN_IN, exc_info=True)
                await pause(self._clock, AGAIN_IN)
                continue
            return
