"""The engine's end, and that nothing is lost by it."""

import asyncio

import pytest

from mynah_tasks.errors import EngineStopped
from mynah_tasks.executors import Executors
from mynah_tasks.reports import AT_ONCE
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Counts
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task
from mynah_tasks.tests import deeds

pytestmark = pytest.mark.req("SHD-01", "FLAW-A10")


@pytest.fixture
def durable(tmp_path) -> SqliteStore:
    return SqliteStore(tmp_path / "tasks.db")


async def test_running_work_is_finished_and_what_waits_stays_stored(start, durable, puppet) -> None:
    engine = await start(durable, max_workers=1)
    first, second = await engine.submit_all([Task("work", 1), Task("work", 2)])
    act = await puppet.next()
    stopping = asyncio.create_task(engine.shutdown())
    with pytest.raises(EngineStopped):
        await _until_refused(engine)
    act.succeed("done")
    await stopping
    await engine.start()
    assert (await engine.wait_for_task(first)).result == "done"
    assert (await puppet.next()).payload == 2
    assert len(puppet.acts) == 2
    assert await engine.get_task_status(second) is TaskStatus.RUNNING


async def _until_refused(engine) -> None:
    while True:
        await engine.submit(Task("echo"))


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("SHD-03")
async def test_what_does_not_end_in_time_is_given_back_and_done_after_the_restart(start, store, clock, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    stopping = asyncio.create_task(engine.shutdown(timeout=7))
    assert await clock.to_next_timer() == 7
    await stopping
    assert act.was_cancelled
    await engine.start()
    again = await puppet.next()
    assert (again.claim.task.id, again.claim.attempt) == (task_id, 1)
    again.succeed()
    assert (await engine.wait_for_task(task_id)).status is TaskStatus.COMPLETED


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
async def test_a_shutdown_that_is_cancelled_gives_back_what_runs_and_closes(start, store, clock, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    stopping = asyncio.create_task(engine.shutdown())
    await clock.timer()
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert act.was_cancelled
    await engine.start()
    again = await puppet.next()
    assert (again.claim.task.id, again.claim.attempt) == (task_id, 1)


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.parametrize("moment", range(1, 25))
async def test_a_shutdown_may_be_cancelled_at_any_moment(start, store, puppet, moment) -> None:
    engine = await start(store, max_workers=2)
    ids = await engine.submit_all([Task("work") for _ in range(3)])
    acts = [await puppet.next(), await puppet.next()]
    stopping = asyncio.create_task(engine.shutdown(0))
    for _ in range(moment):
        await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    assert [act.was_cancelled for act in acts] == [True, True]
    await engine.start()
    for _ in ids:
        (await puppet.next()).succeed()
    assert [(await engine.wait_for_task(task_id)).status for task_id in ids] == ["completed"] * 3


async def test_an_outcome_that_finds_the_store_closed_is_not_written_again_and_again(start, clock) -> None:
    class Closed(MemoryStore):
        async def finish(self, claim, outcome):
            raise EngineStopped("the store is not open")

    engine = await start(Closed())
    await engine.submit(Task("echo"))
    stopping = asyncio.create_task(engine.shutdown(timeout=7))
    assert await clock.to_next_timer() == 7  # the task has no outcome, and nothing is under way any more
    await stopping


@pytest.mark.req("SHD-02")
async def test_a_store_that_does_not_answer_delays_the_end_by_a_second_at_most(start, clock, puppet, caplog) -> None:
    class Hung(MemoryStore):
        durable = True

        async def release(self, claim):
            await asyncio.Event().wait()

    engine = await start(Hung())
    await engine.submit(Task("work"))
    await puppet.next()
    stopping = asyncio.create_task(engine.shutdown(timeout=5))
    assert [await clock.to_next_timer(), await clock.to_next_timer()] == [5, 1]
    await stopping
    assert "1 outcomes were not stored in time" in caplog.text


@pytest.mark.req("SHD-02")
async def test_a_publisher_that_does_not_return_delays_the_end_by_a_second_at_most(start, clock, caplog) -> None:
    class Events:
        async def publish(self, event, data=None):
            await asyncio.Event().wait()

    engine = await start(events=Events())
    await engine.wait_for_task(await engine.submit(Task("echo")))
    stopping = asyncio.create_task(engine.shutdown(timeout=0))
    assert await clock.to_next_timer() == 1
    await stopping
    assert "1 events were not heard by all" in caplog.text


async def test_events_wait_in_line_while_the_publisher_is_slow(start) -> None:
    heard, may_go_on = [], asyncio.Event()

    class Events:
        async def publish(self, event, data=None):
            heard.append(data.result)
            await may_go_on.wait()

    engine = await start(events=Events())
    ids = await engine.submit_all([Task("echo", n) for n in range(1000)])
    await engine.wait_for_task(ids[-1])
    assert heard == list(range(AT_ONCE))
    may_go_on.set()
    await engine.shutdown()
    assert heard == list(range(1000))


async def test_an_engine_without_workers_does_not_wait_for_them_at_its_end(start) -> None:
    engine = await start(max_workers=0)
    await engine.submit(Task("echo"))
    await engine.shutdown()


async def test_what_may_be_begun_only_once_becomes_a_dead_letter_when_it_is_interrupted(start, store, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work", max_retries=0))
    await puppet.next()
    await engine.shutdown(timeout=0)
    await engine.start()
    result = await engine.get_task_result(task_id)
    assert result.status is TaskStatus.FAILED
    assert "may be begun only once" in result.error
    assert [letter.task_id for letter in await engine.dead_letters()] == [task_id]
    assert len(puppet.acts) == 1


async def test_a_queue_in_memory_is_worked_off_first_back_off_included(start, clock) -> None:
    store = MemoryStore()
    engine = await start(store, max_workers=2)
    ids = await engine.submit_all([Task("boom", max_retries=1), *(Task("echo", n) for n in range(50))])
    stopping = asyncio.create_task(engine.shutdown())
    assert await clock.to_next_timer() == 2
    await stopping
    assert store.counts == Counts(dead=1)
    await engine.start()
    assert [await engine.get_task_status(task_id) for task_id in ids] == ["failed"] + ["completed"] * 50


async def test_a_task_that_ends_just_when_the_time_for_the_queue_is_over_has_its_outcome(start, clock, puppet) -> None:
    store = MemoryStore()
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    stopping = asyncio.create_task(engine.shutdown(timeout=5))
    await clock.timer()
    act.succeed("done")
    clock.advance(5)  # its end is heard before whoever waited for it knows that the time is over
    await stopping
    await engine.start()
    assert (await engine.wait_for_task(task_id)).result == "done"


@pytest.mark.req("FLAW-Z3")
async def test_a_task_in_back_off_survives_a_shutdown(start, durable, clock) -> None:
    engine = await start(durable)
    task_id = await engine.submit(Task("boom"))
    assert await clock.timer() == 2
    await engine.shutdown()
    clock.jump(-1000)
    await engine.start()
    assert await clock.timer() == 2
    assert await engine.get_task_status(task_id) is TaskStatus.PENDING
    await clock.to_next_timer()
    await clock.to_next_timer()
    assert (await engine.get_task(task_id)).state.attempts >= 2


async def test_whoever_waits_when_the_engine_ends_is_told(start, store, puppet) -> None:
    engine = await start(store, max_workers=1)
    await engine.submit(Task("work"))
    waiting = asyncio.create_task(engine.wait_for_task(await engine.submit(Task("work"))))
    await puppet.next()
    await engine.shutdown(0)
    with pytest.raises(EngineStopped):
        await waiting


async def test_work_that_does_not_end_when_cancelled_delays_the_end_by_a_second_at_most(
    start, store, clock, caplog
) -> None:
    engine = await start(store)
    for_ever = asyncio.Event()

    async def stubborn(payload):
        while not for_ever.is_set():
            try:
                await for_ever.wait()
            except asyncio.CancelledError:
                continue

    engine.register_processor("stubborn", stubborn)
    await engine.submit(Task("stubborn"))
    await engine.wait_for_task(await engine.submit(Task("echo")))
    try:
        stopping = asyncio.create_task(engine.shutdown(timeout=5))
        assert [await clock.to_next_timer(), await clock.to_next_timer()] == [5, 1]
        await stopping
        assert "1 tasks do not end although they were cancelled" in caplog.text
    finally:
        for_ever.set()


@pytest.mark.req("ENG-13")
async def test_a_hung_thread_does_not_delay_the_end(start, tmp_path) -> None:
    import os

    engine = await start(MemoryStore(), executors=Executors(grace=0.1))
    engine.register_processor("hang", deeds.say_and_hang_without_gil)
    os.mkfifo(tmp_path / "diary")
    await engine.submit(Task("hang", str(tmp_path / "diary"), io_bound=True))
    await asyncio.to_thread((tmp_path / "diary").read_text)
    await engine.shutdown(timeout=0)


async def test_an_engine_may_be_shut_down_twice_or_before_it_ran(start, store) -> None:
    engine = await start(store)
    await engine.shutdown()
    await engine.shutdown()


async def test_an_engine_whose_store_cannot_be_opened_does_not_start_and_leaves_nothing_open(start, tmp_path) -> None:
    from mynah_tasks.errors import StoreUnavailable

    (tmp_path / "file").write_text("in the way")
    engine = await start(MemoryStore())
    await engine.shutdown(0)
    engine._store, whole = SqliteStore(tmp_path / "file" / "tasks.db"), engine._store
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await engine.start()
    engine._store = whole
    await engine.start()
