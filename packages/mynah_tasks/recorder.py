"""Sees to it that the end of an attempt gets into the store."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

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

    async def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Record the outcome of a task."""
        try:
            await self._store.finish(claim, outcome)
        except Exception as error:  # noqa: BLE001  # whatever a store raises, the outcome must get into it
            try:
                await self._insist(claim, lambda: self._store.finish(claim, outcome), error)
            except NotStorable as final:
                reason = f"NotStorable: {final}"
                await self.finish(claim, Outcome(TaskStatus.FAILED, None, reason, outcome.execution_time))

    async def settle(self, claim: Claim, verdict: Verdict, took: float) -> None:
        """Have an attempt that did not succeed followed by another, or record the outcome."""
        self._metrics.timeouts += verdict.status is TaskStatus.TIMEOUT
        if verdict.is_final or claim.attempt > claim.task.max_retries:
            await self.finish(claim, Outcome(verdict.status, None, verdict.error, took))
            return
        delay = self._terms.retry.delay(claim.attempt, self._terms.chance())
        self._metrics.retries += 1
        log.warning("task %s goes for another attempt in %.1f s: %s", claim.task.id, delay, verdict.error)
        try:
            await self._store.retry(claim, verdict.error, delay)
        except Exception as error:  # noqa: BLE001  # likewise
            await self._insist(claim, lambda: self._store.retry(claim, verdict.error, delay), error)

    async def put_off(self, claim: Claim, delay: float) -> None:
        """Have the task wait for so many seconds as if it had not been claimed."""
        try:
            await self._store.release(claim, delay)
        except Exception as error:  # noqa: BLE001  # likewise
            await self._insist(claim, lambda: self._store.release(claim, delay), error)

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

    async def _insist(self, claim: Claim, write: Callable[[], Awaitable[None]], error: Exception | None) -> None:
        """Write again until the store has it, the attempt no longer holds the task, or the store has been closed.

        Raises NotStorable.
        """
        while error:
            if isinstance(error, NotStorable):
                raise error
            if isinstance(error, StaleClaim):
                log.info("attempt %d of task %s ended too late", claim.attempt, claim.task.id)
                return
            if isinstance(error, EngineStopped):
                log.warning("the outcome of attempt %d of task %s found the store closed", claim.attempt, claim.task.id)
                return
            log.warning("end of task %s not stored, again in %g s", claim.task.id, AGAIN_IN, exc_info=error)
            await pause(self._clock, AGAIN_IN)
            try:
                await write()
            except Exception as again:  # noqa: BLE001  # likewise
                error = again
            else:
                error = None
