"""Tasks that an engine cannot do at the moment: they wait, unharmed, and the operator is told."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mynah_tasks.executors import ExecutorKind, Executors, MemoryGate, NotEnoughMemory
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task
from mynah_tasks.testing import ManualClock

MIB = 2**20


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


@pytest.mark.req("ENG-17")
async def test_a_heavy_task_that_does_not_fit_waits_and_no_attempt_is_counted(start, clock, puppet) -> None:
    free = 100 * MIB
    engine = await start(executors=Executors(memory=MemoryGate(need=512 * MIB, free=lambda: free)))
    await engine.submit(Task("work", memory_intensive=True, max_retries=0))
    assert await clock.timer() == 1
    assert engine.health() == {"status": "degraded", "reason": "not_enough_memory"}
    assert engine.queue_metrics()["tasks_failed"] == 0
    free = 600 * MIB
    await clock.to_next_timer()
    assert (await puppet.next()).claim.attempt == 1


@pytest.mark.req("ENG-17", "ENG-13")
async def test_the_time_of_a_heavy_task_runs_from_when_it_was_let_in(start, clock, puppet) -> None:
    gate = MemoryGate(need=512 * MIB, free=lambda: 600 * MIB)
    engine = await start(executors=Executors(memory=gate))
    async with gate.admit():
        await engine.submit(Task("work", memory_intensive=True, timeout=5))
        await engine.wait_for_task(await engine.submit(Task("echo")))
        clock.advance(100)
    await puppet.next()
    assert await clock.timer() == 5


async def test_a_heavy_task_is_not_taken_beside_another_unless_the_gate_lets_it_in(start, store, puppet) -> None:
    free = 1100 * MIB
    gate = MemoryGate(need=512 * MIB, free=lambda: free)
    engine = await start(store, executors=Executors(memory=gate))
    ids = await engine.submit_all([Task("work", n, memory_intensive=True) for n in range(3)])
    assert {(await puppet.next()).payload, (await puppet.next()).payload} == {0, 1}
    await engine.wait_for_task(await engine.submit(Task("echo")))
    assert await engine.get_task_status(ids[2]) is TaskStatus.PENDING


@pytest.mark.parametrize("kind", [ExecutorKind.THREAD, ExecutorKind.MODEL_THREAD])
async def test_hung_threads_cost_nobody_else_an_attempt(start, clock, kind) -> None:
    may_go_on = threading.Event()

    class Model:
        def work(self, payload):
            return may_go_on.wait() if payload == "hang" else payload

    engine = await start(executors=Executors(threads=1, grace=0.1))
    engine.register_processor("model", Model().work, kind=kind)
    hung, good = await engine.submit_all(
        [Task("model", "hang", timeout=0.05, max_retries=0), Task("model", "good", max_retries=0)]
    )
    try:
        assert (await engine.wait_for_task(hung)).status is TaskStatus.TIMEOUT
        assert await clock.timer() == 1
        assert await engine.get_task_status(good) is TaskStatus.PENDING
        may_go_on.set()
        async with passing(clock):
            result = await engine.wait_for_task(good)
        assert (result.status, result.result, result.attempts) == ("completed", "good", 1)
    finally:
        may_go_on.set()


async def test_what_has_begun_and_then_found_no_place_for_a_part_of_it_has_failed(start) -> None:
    engine = await start()

    async def ask_for_more(payload):
        raise NotEnoughMemory("of its own")

    engine.register_processor("more", ask_for_more)
    for hints in ({}, {"memory_intensive": True}, {"io_bound": True}):
        result = await engine.wait_for_task(await engine.submit(Task("more", max_retries=0, **hints)))
        assert (result.status, result.error) == ("failed", "NotEnoughMemory: of its own")


async def test_what_waits_for_a_thread_has_not_begun_and_is_given_back_when_the_engine_ends(start, tmp_path) -> None:
    may_go_on = threading.Event()
    engine = await start(SqliteStore(tmp_path / "tasks.db"), executors=Executors(threads=1, grace=0.1))
    engine.register_processor("wait", lambda _: may_go_on.wait(), kind=ExecutorKind.THREAD)
    running, waiting = await engine.submit_all([Task("wait", max_retries=0), Task("wait", max_retries=0)])
    try:
        await engine.wait_for_task(await engine.submit(Task("echo")))
        await engine.shutdown(0)
    finally:
        may_go_on.set()
    await engine.start()
    assert [(await engine.wait_for_task(each)).status for each in (running, waiting)] == ["failed", "completed"]


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
