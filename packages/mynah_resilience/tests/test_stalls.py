import asyncio
import time
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from mynah_resilience import StallProbe
from mynah_resilience.delays import Delays


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest):
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner


@pytest.mark.req("MET-09", "CON-02")
def test_a_blocked_loop_is_noticed(runner: asyncio.Runner) -> None:
    async def block() -> StallProbe:
        async with StallProbe() as probe:
            await asyncio.sleep(0)
            time.sleep(0.06)  # noqa: ASYNC251  # the mistake that the probe is for
            await asyncio.sleep(0)
        return probe

    assert runner.run(block()).maximum_ms > 50


@pytest.mark.req("MET-09", "CON-08")
def test_work_in_a_thread_does_not_block_the_loop(runner: asyncio.Runner) -> None:
    async def work() -> StallProbe:
        async with StallProbe() as probe:
            await asyncio.to_thread(time.sleep, 0.1)
        return probe

    assert runner.run(work()).maximum_ms < 50


class FlyingLoop(asyncio.SelectorEventLoop):
    """Its timers fire at once, and set the clock on by what they should have waited and by a scripted delay."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.computed = 0.0
        self.late = 0.0
        self.waits: list[float] = []

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.Handle:
        def fire() -> None:
            self.now += delay + self.late
            self.late = 0.0
            self.waits.append(delay)
            callback()

        return self.call_soon(fire)

    async def pass_looks(self, count: int) -> None:
        target = len(self.waits) + count
        while len(self.waits) < target:  # noqa: ASYNC110  # each turn of this loop is one of its timers
            await asyncio.sleep(0)


@pytest.fixture
def loop():
    with asyncio.Runner(loop_factory=FlyingLoop) as runner:
        yield runner


def probe_of(loop: FlyingLoop) -> StallProbe:
    return StallProbe(clock=lambda: loop.now, cpu_clock=lambda: loop.computed)


def test_a_loop_that_idles_for_a_second_is_looked_at_ten_times_a_second_only(loop: asyncio.Runner) -> None:
    async def idle(loop: FlyingLoop) -> None:
        async with probe_of(loop):
            await loop.pass_looks(300)

    loop.run(idle(loop.get_loop()))
    waits = loop.get_loop().waits
    assert waits[:200] == [0.005] * 200
    assert waits[201:] == [0.1] * 99


def test_a_loop_that_computes_is_looked_at_closely(loop: asyncio.Runner) -> None:
    async def compute(loop: FlyingLoop) -> None:
        async with probe_of(loop):
            for _ in range(300):
                loop.computed += 0.002
                await loop.pass_looks(1)

    loop.run(compute(loop.get_loop()))
    assert set(loop.get_loop().waits) == {0.005}


def test_a_stall_wakes_the_attention(loop: asyncio.Runner) -> None:
    async def stall(loop: FlyingLoop) -> float:
        async with probe_of(loop) as probe:
            await loop.pass_looks(300)
            loop.late = 0.2
            await loop.pass_looks(3)
        return probe.maximum_ms

    assert loop.run(stall(loop.get_loop())) == pytest.approx(200)
    assert loop.get_loop().waits[-3:] == [0.1, 0.005, 0.005]


def test_p99_is_what_99_percent_of_all_moments_waited(loop: asyncio.Runner) -> None:
    async def stall(loop: FlyingLoop) -> StallProbe:
        async with probe_of(loop) as probe:
            for _ in range(50):
                loop.late = 0.03
                await loop.pass_looks(100)
        return probe

    probe = loop.run(stall(loop.get_loop()))
    # 50 stalls of 30 ms in 26.5 s: the worst hundredth of all moments, 265 ms, are the first 5.3 ms of each.
    assert probe.p99_ms == pytest.approx(30 - 5.3, abs=0.01)
    assert probe.maximum_ms == pytest.approx(30)


def test_reset_forgets(loop: asyncio.Runner) -> None:
    async def stall(loop: FlyingLoop) -> tuple[float, float]:
        async with probe_of(loop) as probe:
            loop.late = 0.3
            await loop.pass_looks(1)
            assert probe.maximum_ms == pytest.approx(300)
            probe.reset()
            await loop.pass_looks(1)
            return probe.maximum_ms, probe.p99_ms

    assert loop.run(stall(loop.get_loop())) == (0, 0)


def test_reading_in_the_middle_of_a_stall_counts_it_once(loop: asyncio.Runner) -> None:
    async def stall(loop: FlyingLoop) -> tuple[float, float]:
        async with probe_of(loop) as probe:
            loop.now += 0.1
            first = probe.maximum_ms
            return first, probe.maximum_ms

    first, second = loop.run(stall(loop.get_loop()))
    assert first == second == pytest.approx(95)


def test_leaving_without_having_entered_is_harmless() -> None:
    async def leave() -> float:
        probe = StallProbe()
        await probe.__aexit__(None, None, None)
        return probe.maximum_ms

    assert asyncio.run(leave()) == 0


@given(
    delays=st.lists(st.floats(0.001, 10), min_size=1, max_size=30),
    idle=st.floats(0, 1000),
    share=st.floats(0.5, 0.999),
)
def test_a_quantile_is_as_exact_as_its_steps(delays: list[float], idle: float, share: float) -> None:
    histogram = Delays()
    for delay in delays:
        histogram.add(delay)
    elapsed = sum(delays) + idle
    found = histogram.quantile(share, elapsed)

    def waited_longer(wait: float) -> float:
        return sum(max(0.0, delay - wait) for delay in delays)

    allowed = (1 - share) * elapsed
    assert waited_longer(found * 1.1 + 1e-6) <= allowed + 1e-6
    assert found == 0 or waited_longer(found / 1.1 - 1e-6) >= allowed - 1e-6


def test_a_delay_beyond_all_steps_is_kept_in_the_last() -> None:
    histogram = Delays()
    histogram.add(1e6)
    assert histogram.quantile(0.99, 1e6) == pytest.approx(990_000)


def test_without_delays_nobody_waited() -> None:
    assert Delays().quantile(0.99, 10) == 0
