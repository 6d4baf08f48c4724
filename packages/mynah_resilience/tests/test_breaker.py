import asyncio
import logging
import pickle
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from mynah_resilience import BreakerState, CircuitBreaker, CircuitOpen, EventBus, StallProbe
from mynah_resilience.testing import FakeClock


class Broken(Exception):
    pass


async def works() -> str:
    return "fine"


async def breaks() -> None:
    raise Broken


async def later(function: Callable[[], Awaitable[str | None]]) -> str | None:
    return await function()


async def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Broken):
            await breaker.call(breaks)


async def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        await breaker.call(works)


@pytest.fixture
def breaker(clock: FakeClock) -> CircuitBreaker:
    return CircuitBreaker("stt", clock=clock)


@pytest.mark.req("CB-01")
async def test_five_failures_open_it_and_thirty_seconds_later_one_call_may_try(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED

    await fail(breaker)
    assert breaker.state is BreakerState.OPEN

    await clock.advance(29.5)
    with pytest.raises(CircuitOpen) as refused:
        await breaker.call(works)
    assert (refused.value.name, refused.value.retry_in) == ("stt", 0.5)

    await clock.advance(0.5)
    async with breaker:
        assert breaker.state is BreakerState.HALF_OPEN
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.req("CB-02")
async def test_call_returns_what_an_async_function_returns(breaker: CircuitBreaker) -> None:
    assert await breaker.call(works) == "fine"


@pytest.mark.req("CB-02", "FLAW-W6")
async def test_call_runs_a_plain_function_in_a_thread_because_it_may_block(breaker: CircuitBreaker) -> None:
    assert await breaker.call(threading.get_ident) != threading.get_ident()


@pytest.mark.req("CB-02")
async def test_call_awaits_the_coroutine_that_a_lambda_makes(breaker: CircuitBreaker) -> None:
    assert await breaker.call(lambda: later(works)) == "fine"
    with pytest.raises(Broken):
        await breaker.call(lambda: later(breaks))
    assert breaker.status().failures == 1


@pytest.mark.req("CB-03")
async def test_a_block_is_guarded_like_a_call(breaker: CircuitBreaker) -> None:
    for _ in range(5):
        with pytest.raises(Broken):
            async with breaker:
                raise Broken
    with pytest.raises(CircuitOpen):
        async with breaker:
            pytest.fail("the block must not run")


async def test_guarded_blocks_may_nest_in_one_task(breaker: CircuitBreaker) -> None:
    async with breaker:
        await succeed(breaker)
        await fail(breaker)
        assert breaker.status().failures == 1
    assert breaker.status().failures == 0


@pytest.mark.req("CB-04", "CB-09")
async def test_a_healthy_dependency_raises_the_threshold_once_a_minute(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    await succeed(breaker, 9)
    assert breaker.threshold == 5
    await succeed(breaker, 91)
    assert breaker.threshold == 6
    for _ in range(20):
        await clock.advance(60)
        await succeed(breaker, 10)
    assert breaker.threshold == 20


@pytest.mark.req("CB-04", "CB-09")
async def test_each_failure_beyond_five_in_a_minute_lowers_the_threshold_down_to_three(
    breaker: CircuitBreaker,
) -> None:
    thresholds = []
    for _ in range(9):
        await succeed(breaker, 2)
        await fail(breaker)
        thresholds.append(breaker.threshold)
    assert thresholds == [5, 5, 5, 5, 5, 4, 3, 3, 3]


async def test_a_success_rate_of_ninety_five_percent_is_not_above_it(breaker: CircuitBreaker) -> None:
    await fail(breaker)
    await succeed(breaker, 19)
    assert breaker.threshold == 5
    await succeed(breaker)
    assert breaker.threshold == 6


async def test_without_adaptation_the_threshold_stays(clock: FakeClock) -> None:
    breaker = CircuitBreaker("stt", adaptive=False, clock=clock)
    await succeed(breaker, 50)
    for _ in range(10):
        await succeed(breaker, 2)
        await fail(breaker)
    assert breaker.threshold == 5
    await fail(breaker, 4)
    assert breaker.state is BreakerState.OPEN


async def test_a_threshold_below_the_minimum_is_taken_as_it_is(clock: FakeClock) -> None:
    breaker = CircuitBreaker("stt", failure_threshold=1, clock=clock)
    await fail(breaker)
    assert (breaker.state, breaker.threshold) == (BreakerState.OPEN, 1)


async def test_failures_more_than_a_minute_apart_do_not_add_up(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await fail(breaker, 4)
    await clock.advance(61)
    await fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED


async def test_a_dependency_of_which_every_second_call_fails_is_given_up(breaker: CircuitBreaker) -> None:
    for _ in range(4):
        await fail(breaker)
        await succeed(breaker)
    assert breaker.state is BreakerState.CLOSED
    await succeed(breaker)
    await fail(breaker)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.req("FLAW-W6")
async def test_rare_failures_of_a_busy_dependency_do_not_open_it(breaker: CircuitBreaker) -> None:
    for _ in range(20):
        await succeed(breaker, 20)
        await fail(breaker)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.req("CB-05", "FLAW-J6", "FLAW-W6")
async def test_exactly_one_of_fifty_callers_tries_when_it_is_half_open(
    breaker: CircuitBreaker, clock: FakeClock
) -> None:
    running, gate = 0, asyncio.Event()

    async def probe() -> None:
        nonlocal running
        running += 1
        await gate.wait()

    await fail(breaker, 5)
    await clock.advance(30)
    callers = [asyncio.create_task(breaker.call(probe)) for _ in range(50)]
    await clock.settle()
    assert running == 1

    gate.set()
    refused = [caller for caller in asyncio.as_completed(callers) if await raises_open(caller)]
    assert len(refused) == 49
    assert breaker.state is BreakerState.CLOSED


async def raises_open(caller: asyncio.Future[None]) -> bool:
    try:
        await caller
    except CircuitOpen:
        return True
    return False


@pytest.mark.req("CB-05")
async def test_a_failing_trial_opens_it_for_as_long_again(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await fail(breaker, 5)
    await clock.advance(30)
    await fail(breaker)
    assert breaker.state is BreakerState.OPEN
    assert breaker.status().retry_in == 30


@pytest.mark.req("FLAW-J6")
async def test_after_recovery_the_old_failures_are_forgotten(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await fail(breaker, 5)
    await clock.advance(30)
    await succeed(breaker)
    assert (breaker.status().failures, breaker.success_rate) == (0, 1.0)
    await fail(breaker, 4)
    assert breaker.state is BreakerState.CLOSED


async def test_a_cancelled_call_is_neither_success_nor_failure(breaker: CircuitBreaker) -> None:
    await fail(breaker, 4)
    with pytest.raises(asyncio.CancelledError):
        async with breaker:
            raise asyncio.CancelledError
    assert breaker.status().failures == 4
    await fail(breaker)
    assert breaker.state is BreakerState.OPEN


async def test_a_cancelled_trial_gives_its_place_to_the_next_caller(breaker: CircuitBreaker, clock: FakeClock) -> None:
    await fail(breaker, 5)
    await clock.advance(30)
    trial = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await clock.settle()
    with pytest.raises(CircuitOpen) as refused:
        await succeed(breaker)
    assert refused.value.retry_in == 30

    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert (breaker.state, breaker.status().retry_in) == (BreakerState.HALF_OPEN, 0)
    await succeed(breaker)
    assert breaker.state is BreakerState.CLOSED


async def test_an_ignored_error_says_nothing_about_the_dependency(clock: FakeClock) -> None:
    breaker = CircuitBreaker("llm", clock=clock, ignore=(ValueError,))
    for _ in range(10):
        with pytest.raises(ValueError, match="no such model"):
            async with breaker:
                raise ValueError("no such model")
    assert (breaker.state, breaker.success_rate) == (BreakerState.CLOSED, 1.0)


async def test_a_call_from_before_it_opened_cannot_close_it(breaker: CircuitBreaker, clock: FakeClock) -> None:
    gate = asyncio.Event()
    early = asyncio.create_task(breaker.call(gate.wait))
    await clock.settle()
    await fail(breaker, 5)

    await clock.advance(30)
    trial = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await clock.settle()
    gate.set()
    await early
    assert breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(CircuitOpen):
        await succeed(breaker)
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)


@pytest.mark.req("CB-06", "EVB-04")
async def test_opening_and_closing_are_published_with_what_there_is_to_know(clock: FakeClock) -> None:
    async with EventBus() as events:
        breaker = CircuitBreaker("stt", clock=clock, on_event=events.publish)
        heard: list[dict[str, object]] = []
        events.subscribe("circuit_breaker_open", heard.append)

        await fail(breaker, 5)

        assert heard == [
            {
                "name": "stt",
                "state": "open",
                "threshold": 5,
                "failures": 5,
                "success_rate": 0.0,
                "outlook": "steady",
                "retry_in": 30.0,
            }
        ]
        await clock.advance(30)
        await succeed(breaker)
        assert [event.name for event in events.history] == ["circuit_breaker_open", "circuit_breaker_closed"]


@pytest.mark.req("CB-06")
async def test_a_plain_callback_hears_the_events_too(clock: FakeClock) -> None:
    heard = []
    breaker = CircuitBreaker("stt", clock=clock, on_event=lambda event, data: heard.append((event, data["name"])))
    await fail(breaker, 5)
    assert heard == [("circuit_breaker_open", "stt")]


@pytest.mark.req("CB-07")
async def test_state_and_success_rate_are_observable(breaker: CircuitBreaker, clock: FakeClock) -> None:
    assert breaker.success_rate == 1.0
    await succeed(breaker, 3)
    await fail(breaker)
    assert breaker.success_rate == 0.75
    status = breaker.status()
    assert (status.name, status.state, status.threshold, status.failures) == ("stt", "closed", 5, 1)
    await clock.advance(61)
    assert (breaker.success_rate, breaker.status().failures) == (1.0, 0)


@pytest.mark.req("CB-07")
async def test_each_transition_is_one_log_line(
    breaker: CircuitBreaker, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await fail(breaker, 5)
    await clock.advance(30)
    await succeed(breaker, 10)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("WARNING", "Circuit breaker stt transitioning to OPEN (threshold=5)"),
        ("INFO", "Circuit breaker stt transitioning to HALF_OPEN (threshold=5)"),
        ("INFO", "Circuit breaker stt transitioning to CLOSED (threshold=5)"),
        ("INFO", "Increased circuit breaker threshold to 6 (stt)"),
    ]


@pytest.mark.req("CB-08")
async def test_a_thousand_calls_while_open_are_refused_at_once_and_none_is_made(breaker: CircuitBreaker) -> None:
    await fail(breaker, 5)
    async with StallProbe() as probe:
        for _ in range(1000):
            with pytest.raises(CircuitOpen):
                await breaker.call(lambda: pytest.fail("must not be called"))
    assert probe.maximum_ms < 50


@pytest.mark.req("CON-07")
def test_eight_threads_with_their_own_loops_get_no_second_trial() -> None:
    clock = FakeClock()
    breaker = CircuitBreaker("stt", clock=clock)
    tries, started, answered = [], threading.Event(), threading.Event()

    def trial() -> None:
        tries.append(threading.current_thread())
        started.set()
        answered.wait()

    async def open_it() -> None:
        await fail(breaker, 5)
        await clock.advance(30)

    async def ask() -> list[BaseException | None]:
        return await asyncio.gather(*(breaker.call(trial) for _ in range(50)), return_exceptions=True)

    asyncio.run(open_it())
    with ThreadPoolExecutor(9) as threads:
        first = threads.submit(asyncio.run, breaker.call(trial))
        started.wait()
        others = [threads.submit(lambda: asyncio.run(ask())) for _ in range(8)]
        refused = [answer for other in others for answer in other.result()]
        answered.set()
        first.result()
    assert len(tries) == 1
    assert all(isinstance(answer, CircuitOpen) for answer in refused)
    assert breaker.state is BreakerState.CLOSED


@pytest.mark.parametrize(
    "wrong",
    [{"failure_threshold": 0}, {"minimum": 0}, {"minimum": 4, "maximum": 3}, {"recovery_timeout": -1}],
)
def test_impossible_settings_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="thresholds start at 1"):
        CircuitBreaker("stt", **wrong)


def test_the_refusal_survives_being_sent_to_another_process() -> None:
    refused = pickle.loads(pickle.dumps(CircuitOpen("stt", 3.0)))
    assert (refused.name, refused.retry_in, refused.code, str(refused)) == (
        "stt",
        3.0,
        "circuit_open",
        "stt is not called: its circuit is open, try again in 3.0 s",
    )


async def slowly(clock: FakeClock, breaker: CircuitBreaker, seconds: float, *, fails: bool) -> None:
    async def work() -> None:
        await clock.advance(seconds)
        if fails:
            raise Broken

    await asyncio.gather(breaker.call(work), return_exceptions=True)


@pytest.mark.req("FUT-04")
async def test_while_latencies_degrade_three_failures_are_enough(breaker: CircuitBreaker, clock: FakeClock) -> None:
    for _ in range(30):
        await slowly(clock, breaker, 0.1, fails=False)
    for _ in range(4):
        await slowly(clock, breaker, 0.3, fails=False)
    assert breaker.status().outlook == "degraded"
    for _ in range(2):
        await slowly(clock, breaker, 0.3, fails=True)
        assert breaker.state is BreakerState.CLOSED
    await slowly(clock, breaker, 0.3, fails=True)
    assert breaker.state is BreakerState.OPEN


@pytest.mark.req("FUT-04")
async def test_when_latencies_degrade_far_it_opens_without_a_failure(breaker: CircuitBreaker, clock: FakeClock) -> None:
    for _ in range(30):
        await slowly(clock, breaker, 0.1, fails=False)
    for _ in range(5):
        await slowly(clock, breaker, 1.0, fails=False)
    assert (breaker.state, breaker.status().failures) == (BreakerState.OPEN, 0)


async def test_without_adaptation_latencies_do_not_matter(clock: FakeClock) -> None:
    breaker = CircuitBreaker("stt", adaptive=False, clock=clock)
    for _ in range(30):
        await slowly(clock, breaker, 0.1, fails=False)
    for _ in range(9):
        await slowly(clock, breaker, 9.0, fails=False)
    for _ in range(4):
        await slowly(clock, breaker, 9.0, fails=True)
    assert breaker.state is BreakerState.CLOSED
