from concurrent.futures import ThreadPoolExecutor

import pytest

from mynah_resilience import TtlCache
from mynah_resilience.testing import FakeClock


@pytest.mark.req("CAC-03")
async def test_a_value_is_kept_for_three_hundred_seconds(clock: FakeClock) -> None:
    cache = TtlCache[str, int](clock=clock)
    cache.put("question", 42)
    await clock.advance(299)
    assert cache.get("question") == 42
    await clock.advance(1)
    assert cache.get("question") is None
    assert len(cache) == 0


@pytest.mark.req("CAC-03")
def test_at_most_a_hundred_values_are_kept_and_the_oldest_goes_first(clock: FakeClock) -> None:
    cache = TtlCache[int, int](clock=clock)
    for number in range(101):
        cache.put(number, number)
    assert len(cache) == 100
    assert cache.get(0) is None
    assert cache.get(1) == 1


async def test_putting_a_value_again_makes_it_fresh(clock: FakeClock) -> None:
    cache = TtlCache[str, int](ttl=10, capacity=2, clock=clock)
    cache.put("a", 1)
    await clock.advance(5)
    cache.put("b", 2)
    cache.put("a", 3)
    await clock.advance(5)
    assert (cache.get("a"), cache.get("b")) == (3, 2)
    cache.put("c", 4)
    assert cache.get("b") is None, "b was now the oldest"


def test_putting_a_value_again_displaces_no_other() -> None:
    cache = TtlCache[str, int](capacity=2)
    for key in ("a", "b", "b"):
        cache.put(key, 1)
    assert (cache.get("a"), cache.get("b")) == (1, 1)


def test_clearing_forgets_everything() -> None:
    cache = TtlCache[str, int]()
    cache.put("a", 1)
    cache.clear()
    assert cache.get("a") is None


@pytest.mark.req("CON-04")
def test_eight_threads_may_use_it_at_once() -> None:
    cache = TtlCache[int, int](capacity=10)

    def use(seed: int) -> int:
        for number in range(2000):
            cache.put((seed * number) % 50, number)
            cache.get(number % 50)
        return len(cache)

    with ThreadPoolExecutor(8) as threads:
        assert all(size <= 10 for size in threads.map(use, range(8)))


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"capacity": 0}])
def test_a_cache_that_keeps_nothing_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keeps something"):
        TtlCache(**wrong)
