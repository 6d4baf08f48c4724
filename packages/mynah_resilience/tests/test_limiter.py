import asyncio
from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mynah_resilience import CircuitBreaker, RateLimiter, WrongThread
from mynah_resilience.testing import FakeClock


def limiter(clock: FakeClock, requests_per_minute: float = 60, burst: int | None = None) -> RateLimiter:
    return RateLimiter(requests_per_minute, burst, clock=clock, wait=clock.sleep)


@pytest.mark.req("RL-01")
async def test_sixty_pass_at_once_and_the_sixty_first_waits_a_second(clock: FakeClock) -> None:
    limited = limiter(clock)
    passed = []

    async def ask(number: int) -> None:
        async with limited:
            passed.append((number, clock() - 1000))

    askers = [asyncio.create_task(ask(number)) for number in range(63)]
    await clock.settle()
    assert len(passed) == 60
    await clock.advance(10)
    assert passed[60:] == [(60, 1.0), (61, 2.0), (62, 3.0)]
    await asyncio.gather(*askers)


class Service:
    """An API that refuses more than `most` requests within a minute, and fails every third one."""

    def __init__(self, most: int, clock: FakeClock) -> None:
        self.asked: list[float] = []
        self.refused = 0
        self._most = most
        self._clock = clock

    async def ask(self) -> None:
        now = self._clock()
        self.asked.append(now)
        if sum(at > now - 60 for at in self.asked) > self._most:
            self.refused += 1
            raise PermissionError("429")
        if len(self.asked) % 3 == 0:
            raise ConnectionError("503")


@pytest.mark.req("RL-02")
async def test_an_api_refuses_nothing_that_came_through_a_limiter(clock: FakeClock) -> None:
    service = Service(60, clock)
    limited, breaker = limiter(clock, requests_per_minute=30), CircuitBreaker("api", 100, adaptive=False, clock=clock)

    async def ask() -> None:
        async with limited:
            await breaker.call(service.ask)

    askers = [asyncio.create_task(ask()) for _ in range(90)]
    await clock.settle()
    await clock.advance(120)
    outcomes = await asyncio.gather(*askers, return_exceptions=True)
    assert service.refused == 0
    assert sum(isinstance(outcome, ConnectionError) for outcome in outcomes) == 30
    assert service.asked[-1] == 1000 + 120
    assert breaker.status().failures < 2  # who waits for his turn has not failed


@pytest.mark.req("RL-02")
async def test_who_is_turned_away_learns_when_to_come_again(clock: FakeClock) -> None:
    limited = limiter(clock, requests_per_minute=30, burst=2)
    assert [limited.try_acquire() for _ in range(3)] == [True, True, False]
    await clock.advance(limited.retry_in)
    assert limited.try_acquire()
    assert limited.retry_in == 2.0


async def test_a_smaller_burst_spreads_them(clock: FakeClock) -> None:
    limited = limiter(clock, requests_per_minute=120, burst=1)
    assert limited.try_acquire()
    assert not limited.try_acquire()
    assert limited.retry_in == 0.5
    await clock.advance(0.5)
    assert limited.try_acquire()


async def test_what_was_not_used_is_kept_up_to_the_burst(clock: FakeClock) -> None:
    limited = limiter(clock, burst=3)
    await clock.advance(3600)
    assert [limited.try_acquire() for _ in range(4)] == [True, True, True, False]


@pytest.mark.req("FLAW-W5")
async def test_trying_never_blocks_and_never_overtakes_who_waits(clock: FakeClock) -> None:
    limited = limiter(clock, burst=1)
    await limited.acquire()
    waiting = asyncio.create_task(limited.acquire())
    await clock.settle()
    await clock.advance(0.9)
    assert not limited.try_acquire()
    await clock.advance(0.1)
    await waiting
    assert not limited.try_acquire()


async def test_nobody_overtakes_a_waiter_whose_time_has_come() -> None:
    now, woken = [0.0], asyncio.Event()
    limited = RateLimiter(60, 1, clock=lambda: now[0], wait=lambda _: woken.wait())
    await limited.acquire()
    waiting = asyncio.create_task(limited.acquire())
    await FakeClock.settle()
    now[0] = 1.0
    assert not limited.try_acquire()
    woken.set()
    await waiting


async def test_who_gives_up_while_waiting_costs_nobody_a_place(clock: FakeClock) -> None:
    limited = limiter(clock, burst=1)
    await limited.acquire()
    first, second, third = (asyncio.create_task(limited.acquire()) for _ in range(3))
    await clock.settle()
    first.cancel()
    second.cancel()
    await clock.advance(1)
    assert third.done()
    assert first.cancelled()
    assert second.cancelled()


async def test_the_rounding_of_floats_lets_nobody_wait_for_ever() -> None:
    clock = FakeClock(1e9 + 0.1)
    limited = limiter(clock, requests_per_minute=7, burst=1)
    asker = asyncio.gather(*(limited.acquire() for _ in range(20)))
    await clock.advance(60 / 7 * 20)
    assert asker.done()


@pytest.mark.req("CON-06")
async def test_use_from_another_thread_fails_loudly(clock: FakeClock) -> None:
    limited = limiter(clock)
    limited.try_acquire()
    with pytest.raises(WrongThread, match="rate limiter belongs to 'MainThread'"):
        await asyncio.to_thread(limited.try_acquire)


@pytest.mark.parametrize(("requests_per_minute", "burst"), [(0, None), (-1, None), (60, 0)])
def test_a_limiter_that_lets_nothing_through_is_refused(requests_per_minute: float, burst: int | None) -> None:
    with pytest.raises(ValueError, match="lets something through"):
        RateLimiter(requests_per_minute, burst)


class LimiterMachine(RuleBasedStateMachine):
    """Against a bucket that a patient clerk hands out: first come, first served, whenever there is a token."""

    BURST, INTERVAL = 3, 2

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock(0.0)
        self.limiter = RateLimiter(60 / self.INTERVAL, self.BURST, clock=self.clock, wait=self.clock.sleep)
        self.passed: list[tuple[int, float]] = []
        self.tasks: dict[int, asyncio.Task[None]] = {}
        self.expected: list[tuple[int, float]] = []
        self.queue: deque[int] = deque()
        # Tokens in units of 1/INTERVAL, so that all is exact.
        self.tokens = self.BURST * self.INTERVAL
        self.number = 0

    def teardown(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self.runner.run(self.clock.settle())
        self.runner.close()

    def serve(self) -> None:
        while self.queue and self.tokens >= self.INTERVAL:
            self.tokens -= self.INTERVAL
            self.expected.append((self.queue.popleft(), self.clock()))

    @rule(count=st.integers(1, 5))
    def ask(self, count: int) -> None:
        async def begin() -> None:
            for _ in range(count):
                self.tasks[self.number] = asyncio.create_task(self.enter(self.number))
                self.queue.append(self.number)
                self.number += 1
            await self.clock.settle()

        self.runner.run(begin())
        self.serve()

    async def enter(self, number: int) -> None:
        async with self.limiter:
            self.passed.append((number, self.clock()))

    @rule()
    def try_at_once(self) -> None:
        async def attempt() -> bool:
            return self.limiter.try_acquire()

        possible = not self.queue and self.tokens >= self.INTERVAL
        assert self.runner.run(attempt()) == possible
        self.tokens -= self.INTERVAL * possible

    @precondition(lambda self: self.queue)
    @rule(which=st.integers(min_value=0))
    def give_up(self, which: int) -> None:
        async def cancel(number: int) -> None:
            self.tasks[number].cancel()
            await self.clock.settle()

        number = self.queue[which % len(self.queue)]
        self.queue.remove(number)
        self.runner.run(cancel(number))

    @rule(seconds=st.integers(1, 5))
    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.runner.run(self.clock.advance(1))
            self.tokens = min(self.tokens + 1, self.BURST * self.INTERVAL)
            self.serve()

    @invariant()
    def passed_in_order_and_in_time(self) -> None:
        assert self.passed == self.expected


TestLimiterMachine = pytest.mark.req("RL-01")(LimiterMachine.TestCase)
TestLimiterMachine.settings = settings(max_examples=50, stateful_step_count=30, deadline=None)
