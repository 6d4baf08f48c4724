"""A circuit breaker: calls to a dependency that is down fail at once instead of piling up."""

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from mynah_resilience.calls import invoke
from mynah_resilience.errors import CircuitOpen
from mynah_resilience.trend import Outlook
from mynah_resilience.verdict import Verdict

log = logging.getLogger(__name__)

T = TypeVar("T")
OnEvent = Callable[[str, dict[str, object]], Awaitable[object] | None]


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    """One call at a time tries whether the dependency is back."""


@dataclass(frozen=True, slots=True)
class BreakerStatus:
    """What an operator sees of a breaker."""

    name: str
    state: BreakerState
    threshold: int
    """Failures in a row that open it."""
    failures: int
    """Failures in a row now, of the last minute."""
    success_rate: float
    """0 to 1, of the last minute since it closed; 1 when nothing was called."""
    outlook: Outlook
    """What its latencies say about the next calls."""
    retry_in: float
    """Seconds until a call may try; 0 when one may now."""


class _Passage(NamedTuple):
    """One call that was let through."""

    epoch: int
    since: float


class CircuitBreaker:
    """Guards one dependency, as `async with breaker:` or `await breaker.call(function)`; raises `CircuitOpen`.

    Opens when `Verdict` says that there were too many failures, and lets exactly one call try when `recovery_timeout`
    seconds are over. Any number of tasks, event loops and threads may share it.

    A call that raises an `Exception` other than `ignore` is a failure. A cancelled one is neither success nor failure:
    set the call's deadline inside the guarded block. A probe that hangs keeps its place until its own deadline.

    `on_event(event, data)` hears `circuit_breaker_open` and `circuit_breaker_closed` and must not raise;
    `EventBus.publish` fits.
    """

    def __init__(  # noqa: PLR0913  # one knob per requirement, all but the name with a default
        self,
        name: str,
        failure_threshold: int = 5,
        recovery_timeout: float = 30.0,
        adaptive: bool = True,  # noqa: FBT001, FBT002  # the requirement's own signature
        minimum: int = 3,
        maximum: int = 20,
        clock: Callable[[], float] = time.monotonic,
        on_event: OnEvent | None = None,
        *,
        ignore: tuple[type[Exception], ...] = (),
    ) -> None:
        if failure_threshold < 1 or not 1 <= minimum <= maximum or recovery_timeout < 0:
            raise ValueError(f"breaker {name}: thresholds start at 1, minimum <= maximum, recovery_timeout >= 0")
        self.name = name
        self._recovery_timeout = recovery_timeout
        self._clock = clock
        self._on_event = on_event
        self._ignore = ignore
        self._lock = threading.Lock()
        self._verdict = Verdict(name, failure_threshold, adaptive=adaptive, minimum=minimum, maximum=maximum)
        self._state = BreakerState.CLOSED
        # Counts changes of state, so that a call from before a change cannot decide after it.
        self._epoch = 0
        self._is_probing = False
        self._retry_at = 0.0
        self._passages: dict[asyncio.Task[object] | None, list[_Passage]] = {}

    @property
    def state(self) -> BreakerState:
        """Whether calls pass; OPEN turns into HALF_OPEN when the first call tries."""
        return self._state

    @property
    def threshold(self) -> int:
        """Failures in a row that open it, as tuned so far."""
        return self._verdict.threshold

    @property
    def success_rate(self) -> float:
        """0 to 1, of the last minute since it closed; 1 when nothing was called."""
        return self.status().success_rate

    def status(self) -> BreakerStatus:
        """All that there is to see."""
        with self._lock:
            now = self._clock()
            return BreakerStatus(
                name=self.name,
                state=self._state,
                threshold=self._verdict.threshold,
                failures=self._verdict.failures_in_a_row(now),
                success_rate=self._verdict.success_rate(now),
                outlook=self._verdict.outlook,
                retry_in=self._retry_in(now),
            )

    async def call(self, function: Callable[[], Awaitable[T]] | Callable[[], T]) -> T:
        """Call through the breaker; a plain function runs in a thread, because it may block."""
        async with self:
            return await invoke(function)

    async def __aenter__(self) -> Self:
        with self._lock:
            passage = self._admit(self._clock())
            self._passages.setdefault(asyncio.current_task(), []).append(passage)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            before = self._state
            self._settle(self._leave(), self._clock(), error)
            after = self._state
        if after is not before and self._on_event is not None:
            event = "circuit_breaker_open" if after is BreakerState.OPEN else "circuit_breaker_closed"
            told = self._on_event(event, asdict(self.status()))
            if inspect.isawaitable(told):
                await told

    def _admit(self, now: float) -> _Passage:
        if self._state is BreakerState.OPEN and now >= self._retry_at:
            self._become(BreakerState.HALF_OPEN)
        if self._state is BreakerState.OPEN or self._is_probing:
            raise CircuitOpen(self.name, self._retry_in(now))
        self._is_probing = self._state is BreakerState.HALF_OPEN
        return _Passage(self._epoch, now)

    def _leave(self) -> _Passage:
        task = asyncio.current_task()
        passages = self._passages[task]
        passage = passages.pop()
        if not passages:
            del self._passages[task]
        return passage

    def _settle(self, passage: _Passage, now: float, error: BaseException | None) -> None:
        if passage.epoch != self._epoch:
            return
        was_probe, self._is_probing = self._is_probing, False
        if error is None:
            if was_probe:
                self._verdict.forget()
                self._become(BreakerState.CLOSED)
            if self._verdict.succeeded(passage.since, now):
                self._open(now)
        elif isinstance(error, Exception) and not isinstance(error, self._ignore):
            gives_up = self._verdict.failed(passage.since, now)
            if was_probe or gives_up:
                self._open(now)

    def _open(self, now: float) -> None:
        self._retry_at = now + self._recovery_timeout
        self._become(BreakerState.OPEN)

    def _become(self, state: BreakerState) -> None:
        self._state = state
        self._epoch += 1
        level = logging.WARNING if state is BreakerState.OPEN else logging.INFO
        threshold = self._verdict.threshold
        log.log(level, "Circuit breaker %s transitioning to %s (threshold=%d)", self.name, state.name, threshold)

    def _retry_in(self, now: float) -> float:
        if self._is_probing:
            # Nobody knows how long the probe takes; should it fail, it will be this long.
            return self._recovery_timeout
        return max(0.0, self._retry_at - now)
