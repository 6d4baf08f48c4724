import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah_resilience import RetryPolicy
from mynah_resilience.testing import FakeClock


class Flaky:
    """Fails so many times, then works; knows when it was tried."""

    def __init__(self, clock: FakeClock, failures: int, error: type[Exception] = OSError) -> None:
        self.tried_at: list[float] = []
        self._clock = clock
        self._failures = failures
        self._error = error

    async def __call__(self) -> str:
        self.tried_at.append(self._clock() - 1000)
        if len(self.tried_at) <= self._failures:
            raise self._error("out of order")
        return "fine"


@pytest.mark.req("Q-05")
def test_the_waits_double_from_two_seconds_up_to_sixteen() -> None:
    policy = RetryPolicy(max_retries=6)
    assert [policy.delay(retry) for retry in range(1, 7)] == [2, 4, 8, 16, 16, 16]
    assert policy.delay(5000) == 16


@pytest.mark.req("Q-05")
async def test_the_tries_are_at_zero_two_six_and_fourteen_seconds(clock: FakeClock) -> None:
    flaky = Flaky(clock, failures=3)
    assert await RetryPolicy().run(flaky, sleep=clock.advance, chance=lambda: 0.5) == "fine"
    assert flaky.tried_at == [0, 2, 6, 14]


@pytest.mark.req("Q-05", "SHD-06")
async def test_after_three_retries_the_last_error_is_raised(clock: FakeClock) -> None:
    flaky = Flaky(clock, failures=4)
    with pytest.raises(OSError, match="out of order") as failed:
        await RetryPolicy().run(flaky, sleep=clock.advance)
    assert len(flaky.tried_at) == 4
    assert failed.value.__notes__ == ["tried 4 times"]


async def test_an_error_of_another_kind_is_raised_at_once(clock: FakeClock) -> None:
    flaky = Flaky(clock, failures=1, error=ValueError)
    with pytest.raises(ValueError, match="out of order"):
        await RetryPolicy(on=(OSError,)).run(flaky, sleep=clock.advance)
    assert flaky.tried_at == [0]


@pytest.mark.req("Q-05")
async def test_a_timeout_is_tried_again_like_any_error(clock: FakeClock) -> None:
    flaky = Flaky(clock, failures=1, error=TimeoutError)
    assert await RetryPolicy(jitter=0).run(flaky, sleep=clock.advance) == "fine"
    assert flaky.tried_at == [0, 2]


async def test_a_policy_decorates_a_function() -> None:
    tries = itertools.count(1)

    @RetryPolicy(base=0, on=(OSError,))
    async def fetch(name: str, *, loud: bool) -> str:
        """Fetch something."""
        if next(tries) < 3:
            raise OSError
        return name.upper() if loud else name

    assert await fetch("mynah", loud=True) == "MYNAH"
    assert fetch.__doc__ == "Fetch something."


def test_a_policy_says_what_it_allows() -> None:
    policy = RetryPolicy(max_retries=2, on=(OSError,))
    assert policy.allows(2, ConnectionError())
    assert not policy.allows(3, OSError())
    assert not policy.allows(1, ValueError())
    assert not RetryPolicy().allows(1, KeyboardInterrupt())


@given(
    retry=st.integers(1, 10_000),
    chance=st.floats(0, 1),
    base=st.floats(0, 100),
    cap=st.floats(0, 1000),
    jitter=st.floats(0, 1),
)
def test_a_wait_stays_within_its_jitter_and_below_the_cap(
    retry: int, chance: float, base: float, cap: float, jitter: float
) -> None:
    policy = RetryPolicy(base=base, cap=cap, jitter=jitter)
    nominal = min(cap, base * 2.0 ** min(retry - 1, 60))
    assert nominal * (1 - jitter) * (1 - 1e-9) <= policy.delay(retry, chance) <= min(cap, nominal * (1 + jitter) + 1e-9)


@pytest.mark.parametrize("wrong", [{"max_retries": -1}, {"base": -1}, {"cap": -1}, {"jitter": 1.1}, {"jitter": -0.1}])
def test_impossible_policies_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="not negative"):
        RetryPolicy(**wrong)
