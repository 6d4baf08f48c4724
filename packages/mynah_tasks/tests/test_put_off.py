"""Tasks that an engine cannot do at the moment: they wait, unharmed, and the operator is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Task
from mynah_tasks.testing import ManualClock


@asynccontextmanager
async def passing(clock: ManualClock) -> AsyncIterator[None]:
    """A block in which time goes from timer to timer."""

    async def go_on() -> None:
        while True:
            await clock.to_next_timer()

    going_on = asyncio.create_task(go_on())
    try:
        yield
    finally:
        going_on.cancel()


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("JOB-02", "SHD-03")
async def test_what_was_stored_before_its_processor_is_registered_is_done_when_it_is(
    start, store, clock, puppet, caplog
) -> None:
    accepting = await start(store, max_workers=0)
    ids = await accepting.submit_all([Task("late", n, max_retries=0) for n in range(4)])
    await accepting.shutdown()
    engine = await start(store)
    assert await clock.to_next_timer() == 1
    assert await clock.timer() > 0
    assert engine.health() == {"status": "degraded", "reason": "unknown_task_type"}
    said = [record.getMessage() for record in caplog.records if "put off" in record.getMessage()]
    assert said == ["tasks that cannot be done now are put off: no processor is registered for 'late'"]
    engine.register_processor("late", puppet)
    async with passing(clock):
        for _ in ids:
            act = await puppet.next()
            assert act.claim.attempt == 1
            act.succeed()
        assert [(await engine.wait_for_task(task_id)).status for task_id in ids] == ["completed"] * 4
    clock.advance(2)
    assert engine.health()["status"] == "healthy"


async def test_what_nobody_can_do_leaves_time_for_what_somebody_can(start) -> None:
    class Noting(MemoryStore):
        async def release(self, claim, delay=0.0):
            delays.append(delay)
            await super().release(claim, delay)

    delays = []
    store = Noting()
    accepting = await start(store, max_workers=0)
    await accepting.submit_all([Task("strange") for _ in range(999)])
    await accepting.shutdown()
    engine = await start(store)
    await engine.wait_for_task(await engine.submit(Task("echo")))
    assert delays == pytest.approx([1 + n / 100 for n in range(999)])
