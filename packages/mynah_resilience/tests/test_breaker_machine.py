"""The breaker against a model, with calls that start, succeed, fail and are cancelled in any order."""

import asyncio
import functools
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mynah_resilience import BreakerState, CircuitBreaker, CircuitOpen
from mynah_resilience.testing import FakeClock

Outcome = Literal["success", "failure", "cancelled"]
THRESHOLD, TIMEOUT, WINDOW = 3, 30, 60


class Broken(Exception):
    pass


@dataclass
class Call:
    end: asyncio.Future[None]
    task: asyncio.Task[None]
    was_probe: bool
    epoch: int


@dataclass
class Model:
    """The rules, as plainly as they can be said."""

    now: float = 0.0
    state: str = "closed"
    opened_at: float = 0.0
    epoch: int = 0
    probing: bool = False
    outcomes: list[tuple[float, bool]] = field(default_factory=list)

    def change(self, state: str) -> None:
        self.state, self.epoch = state, self.epoch + 1
        if state == "open":
            self.opened_at = self.now
        if state == "closed":
            self.outcomes = []

    def admits(self) -> bool:
        if self.state == "open" and self.now >= self.opened_at + TIMEOUT:
            self.change("half_open")
        if self.state == "open" or self.probing:
            return False
        self.probing = self.state == "half_open"
        return True

    def ended(self, call: Call, outcome: Outcome) -> None:
        if call.epoch != self.epoch:
            return
        self.probing = False
        if outcome == "cancelled":
            return
        if call.was_probe and outcome == "success":
            self.change("closed")
        self.outcomes.append((self.now, outcome == "success"))
        if outcome == "failure" and (call.was_probe or self.too_many()):
            self.change("open")

    def recent(self) -> list[bool]:
        return [outcome for at, outcome in self.outcomes if at > self.now - WINDOW]

    def too_many(self) -> bool:
        recent = self.recent()
        in_a_row = next((n for n, ok in enumerate(reversed(recent)) if ok), len(recent))
        return in_a_row >= THRESHOLD or (recent.count(False) >= THRESHOLD and recent.count(False) * 2 >= len(recent))


class BreakerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock(0.0)
        self.told: list[str] = []
        self.breaker = CircuitBreaker(
            "modelled",
            failure_threshold=THRESHOLD,
            recovery_timeout=TIMEOUT,
            adaptive=False,
            clock=self.clock,
            on_event=lambda event, _: self.told.append(event),
        )
        self.model = Model()
        self.calls: list[Call] = []
        self.opened = 0

    def teardown(self) -> None:
        for call in self.calls:
            call.task.cancel()
        self.runner.run(self.clock.settle())
        self.runner.close()

    @rule()
    def start(self) -> None:
        async def begin() -> Call | None:
            end = asyncio.get_running_loop().create_future()
            entered = asyncio.Event()

            async def guarded() -> None:
                async with self.breaker:
                    entered.set()
                    await end

            task = asyncio.create_task(guarded())
            await self.clock.settle(3)
            if entered.is_set():
                return Call(end, task, self.breaker.state is BreakerState.HALF_OPEN, 0)
            assert isinstance(task.exception(), CircuitOpen)
            return None

        admitted = self.model.admits()
        call = self.runner.run(begin())
        assert (call is not None) == admitted
        if call is not None:
            call.epoch = self.model.epoch
            self.calls.append(call)

    @precondition(lambda self: self.calls)
    @rule(which=st.integers(min_value=0), outcome=st.sampled_from(["success", "failure", "cancelled"]))
    def end(self, which: int, outcome: Outcome) -> None:
        call = self.calls.pop(which % len(self.calls))

        async def finish() -> None:
            if outcome == "cancelled":
                call.task.cancel()
            elif outcome == "success":
                call.end.set_result(None)
            else:
                call.end.set_exception(Broken())
            await asyncio.wait([call.task])

        self.runner.run(finish())
        assert call.task.cancelled() or isinstance(call.task.exception(), Broken | None)
        before = self.model.state
        self.model.ended(call, outcome)
        self.opened += self.model.state == "open" and before != "open"

    @rule(seconds=st.sampled_from([1, 10, 29, 30, 59, 60, 61]))
    def pass_time(self, seconds: int) -> None:
        self.runner.run(self.clock.advance(seconds))
        self.model.now += seconds

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert self.breaker.state == self.model.state
        recent = self.model.recent()
        assert self.breaker.success_rate == (recent.count(True) / len(recent) if recent else 1.0)
        assert self.told.count("circuit_breaker_open") == self.opened


TestBreakerMachine = pytest.mark.req("CB-01", "CB-05")(BreakerMachine.TestCase)
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

SUCCESS = st.tuples(st.just("success"), st.sampled_from([0.01, 0.1, 0.5, 5.0]))
FAILURE = st.tuples(st.just("failure"), st.sampled_from([0.01, 30.0]))
PAUSE = st.tuples(st.just("pause"), st.sampled_from([1.0, 31.0, 61.0]))
SCRIPTS = st.lists(st.one_of(SUCCESS, SUCCESS, SUCCESS, FAILURE, PAUSE), max_size=150)


@pytest.mark.req("CB-04")
@settings(max_examples=60, deadline=None)
@given(SCRIPTS)
def test_an_adaptive_threshold_keeps_its_bounds_and_rises_at_most_once_a_minute(
    script: list[tuple[str, float]],
) -> None:
    asyncio.run(play(script))


async def work(clock: FakeClock, seconds: float, kind: str) -> None:
    await clock.advance(seconds)
    if kind == "failure":
        raise Broken


async def play(script: list[tuple[str, float]]) -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("adaptive", clock=clock)
    raised_at: list[float] = []
    for kind, seconds in script:
        before = breaker.status()
        if kind == "pause":
            await clock.advance(seconds)
            continue
        call = breaker.call(functools.partial(work, clock, seconds, kind))
        (outcome,) = await asyncio.gather(call, return_exceptions=True)
        assert isinstance(outcome, CircuitOpen) == (before.retry_in > 0)
        if breaker.threshold > before.threshold:
            raised_at.append(clock())
            assert breaker.threshold == before.threshold + 1
        assert 3 <= breaker.threshold <= 20
    assert all(later - earlier >= 60 for earlier, later in pairwise(raised_at))
