"""A task under which the process died twice runs alone, and for how long the others put up with that."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from mynah_tasks.facades.facade import Unheard
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Outcome, Rules, Store
from mynah_tasks.task import Task

pytestmark = pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis: see test_redis.py


async def claim(store: Store, limit: int = 5) -> list[str]:
    """The payloads of what is handed out."""
    return [claim.task.payload for claim in await store.claim(limit, lambda: True)]


async def crash_twice(store: Store, clock) -> None:
    """Have a task under which two processes died, as far as the store knows."""
    store.attach(Unheard(), Rules(), clock)
    async with store:
        await store.add([Task("work", "poison", max_retries=9)])
        await claim(store)
    async with store:
        await claim(store)


@pytest_asyncio.fixture
async def opened(store, clock) -> AsyncIterator[Store]:
    """A store with a suspect."""
    await crash_twice(store, clock)
    async with store:
        yield store


async def test_a_suspect_runs_alone_for_a_minute_at_most(opened, clock) -> None:
    await opened.add([Task("work", "innocent")])
    (poison,) = await opened.claim(5, lambda: True)
    assert (poison.task.payload, poison.crashes) == ("poison", 2)
    beside = asyncio.create_task(claim(opened))
    await _pass(opened, clock, 59.9)
    assert not beside.done()
    await _pass(opened, clock, 0.2)
    assert await beside == ["innocent"]


async def test_the_others_go_on_as_soon_as_a_suspect_has_ended(opened, clock) -> None:
    await opened.add([Task("work", "innocent")])
    (poison,) = await opened.claim(5, lambda: True)
    beside = asyncio.create_task(claim(opened))
    await opened.finish(poison, Outcome(TaskStatus.COMPLETED))
    assert await beside == ["innocent"]
    assert await _has_no_timer(clock)


async def test_a_suspect_waits_for_a_minute_at_most_until_nothing_else_runs(opened, clock) -> None:
    (poison,) = await opened.claim(5, lambda: True)
    await _pass(opened, clock, 61)
    await opened.add([Task("work", "innocent")])
    assert await claim(opened) == ["innocent"]
    await opened.release(poison)
    await opened.add([Task("work", "later")])
    following = asyncio.create_task(claim(opened))
    await _pass(opened, clock, 59.9)
    assert not following.done()
    await _pass(opened, clock, 0.2)
    assert await following == ["poison"]
    following = asyncio.create_task(claim(opened))
    await _pass(opened, clock, 61)
    assert await following == ["later"]


async def test_health_says_that_the_queue_stands_still_for_a_suspect(start, store, clock, puppet) -> None:
    await crash_twice(store, clock)
    engine = await start(store)
    await puppet.next()
    assert engine.health() == {"status": "degraded", "reason": "suspect_runs_alone"}
    clock.advance(61)
    assert engine.health()["status"] == "healthy"


async def _pass(store: Store, clock, seconds: float) -> None:
    clock.advance(seconds)
    await store.get("so that all before it has happened")
    await asyncio.sleep(0)


async def _has_no_timer(clock) -> bool:
    timer = asyncio.create_task(clock.timer())
    await asyncio.sleep(0)
    return timer.cancel()
