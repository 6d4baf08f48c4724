import asyncio
import csv
import random
from pathlib import Path

import pytest

from mynah_resilience import BreakerState, CircuitBreaker, LatencyTrend, Outlook
from mynah_resilience.testing import FakeClock

TRACES = Path(__file__).parent / "data"


async def replay(trace: str) -> tuple[BreakerState, int, int]:
    """What becomes of a breaker that guards the recorded calls: its state, calls made, failures among them."""
    clock = FakeClock(0.0)
    breaker = CircuitBreaker("recorded", clock=clock)
    made: list[bool] = []

    async def call(began: float, ended: float, *, succeeds: bool) -> None:
        await clock.sleep(began)
        async with breaker:
            await clock.sleep(ended - began)
            made.append(succeeds)
            if not succeeds:
                raise TimeoutError

    with (TRACES / f"{trace}.csv").open() as file:
        rows = [(float(r["began_s"]), float(r["ended_s"]), r["succeeded"] == "1") for r in csv.DictReader(file)]
    calls = [asyncio.create_task(call(began, ended, succeeds=succeeds)) for began, ended, succeeds in rows]
    # Shorter than the recovery time: once open, it stays open.
    await clock.advance(max(ended for _, ended, _ in rows))
    await asyncio.gather(*calls, return_exceptions=True)
    return breaker.state, len(made), made.count(False)


@pytest.mark.req("FUT-04")
async def test_a_recorded_decline_opens_the_circuit_before_the_fifth_failure() -> None:
    state, made, failures = await replay("degrading")
    assert state is BreakerState.OPEN
    assert failures < 5
    assert made > 600, "it was healthy so far"


@pytest.mark.req("FUT-04")
async def test_a_recorded_healthy_server_with_noise_never_opens_the_circuit() -> None:
    assert await replay("healthy") == (BreakerState.CLOSED, 2000, 0)


class Calls:
    """One call after the other."""

    def __init__(self, latencies: list[float]) -> None:
        self.trend = LatencyTrend()
        self._now = 0.0
        for latency in latencies:
            self.succeed(latency)

    def succeed(self, latency: float) -> Outlook:
        began, self._now = self._now, self._now + latency
        self.trend.succeeded(began, self._now)
        return self.trend.outlook

    def fail(self, latency: float) -> Outlook:
        began, self._now = self._now, self._now + latency
        self.trend.failed(began, self._now)
        return self.trend.outlook


USUAL = [0.10, 0.11, 0.09, 0.12, 0.10] * 6


def calls_until(outlook: Outlook, calls: Calls, latency: float) -> int:
    for number in range(1, 100):
        if calls.succeed(latency) is outlook:
            return number
    return 100


def test_a_fivefold_latency_is_noticed_after_three_calls_and_given_up_after_five() -> None:
    assert calls_until(Outlook.DEGRADED, Calls(USUAL), 0.5) == 3
    assert calls_until(Outlook.FAILING, Calls(USUAL), 0.5) == 5


def test_a_doubled_latency_is_noticed_but_not_given_up() -> None:
    assert calls_until(Outlook.DEGRADED, Calls(USUAL), 0.2) == 5
    assert calls_until(Outlook.FAILING, Calls(USUAL), 0.2) == 100


def test_a_third_slower_is_noise() -> None:
    assert calls_until(Outlook.DEGRADED, Calls(USUAL), 0.135) == 100


def test_a_slow_decline_does_not_become_the_norm() -> None:
    calls, latency = Calls(USUAL), 0.1
    while calls.succeed(latency) is not Outlook.FAILING:
        latency *= 1.03
    assert latency < 2


def test_a_drift_over_hours_becomes_the_norm() -> None:
    calls, latency = Calls(USUAL), 0.1
    while latency < 1:
        latency *= 1.001
        assert calls.succeed(latency) is Outlook.STEADY


def test_one_wild_value_moves_nothing() -> None:
    assert Calls(USUAL).succeed(1e6) is Outlook.STEADY


def test_calls_that_one_hiccup_delayed_together_count_once() -> None:
    together = Calls(USUAL).trend
    for number in range(20):
        together.succeeded(100 + number / 1000, 101)
    assert together.outlook is Outlook.STEADY


def test_a_recovery_is_noticed() -> None:
    assert calls_until(Outlook.STEADY, Calls([*USUAL, *[0.8] * 50]), 0.1) <= 10


def test_five_quick_failures_in_a_row_are_a_trend_however_high_the_threshold_has_grown() -> None:
    calls = Calls(USUAL)
    assert [calls.fail(0.001) for _ in range(5)] == [Outlook.STEADY] * 4 + [Outlook.DEGRADED]


def test_slow_failures_weigh_twice() -> None:
    calls = Calls(USUAL)
    assert [calls.fail(30.0) for _ in range(3)][-1] is Outlook.DEGRADED


def test_nothing_is_said_before_enough_was_seen() -> None:
    calls = Calls([])
    for _ in range(19):
        calls.succeed(0.1)
        assert calls.fail(30.0) is Outlook.STEADY


def test_after_a_recovery_it_learns_anew() -> None:
    calls = Calls(USUAL)
    calls.trend.forget()
    assert calls_until(Outlook.DEGRADED, calls, 0.8) == 100


def test_differences_below_a_millisecond_say_nothing() -> None:
    assert calls_until(Outlook.DEGRADED, Calls([0.00001] * 30), 0.001) == 100


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(lambda chance: chance.lognormvariate(-2, 0.7), id="lognormal"),
        pytest.param(lambda chance: chance.expovariate(10), id="exponential"),
        pytest.param(lambda chance: max(0.0, chance.gauss(0.1, 0.03)), id="normal"),
        pytest.param(lambda chance: 0.05 * chance.paretovariate(1.5), id="heavy tail"),
        pytest.param(lambda chance: chance.gauss(0.1, 0.01) * (20 if chance.random() < 0.2 else 1), id="cache misses"),
    ],
)
def test_healthy_noise_is_never_given_up(noise) -> None:
    for seed in range(10):
        chance, calls = random.Random(seed), Calls([])
        assert Outlook.FAILING not in {calls.succeed(noise(chance)) for _ in range(500)}
