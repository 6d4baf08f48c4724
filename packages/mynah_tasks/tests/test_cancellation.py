"""Cancelling a task in every state, honestly."""

import asyncio
import os
import threading

import pytest

from mynah_tasks.executors import Executors
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Task
from mynah_tasks.tests import deeds

pytestmark = pytest.mark.req("ENG-12")


@pytest.mark.req("FLAW-A2")
async def test_a_cancelled_task_that_waited_never_runs(start, store, puppet) -> None:
    engine = await start(store, max_workers=1)
    first, second = await engine.submit_all([Task("work", 1), Task("work", 2)])
    third = await engine.submit(Task("work", 3))
    act = await puppet.next()
    assert await engine.cancel_task(second, "no longer wanted") == [second]
    result = await engine.wait_for_task(second)
    assert (result.status, result.error, result.attempts) == ("cancelled", "no longer wanted", 0)
    act.succeed()
    assert (await puppet.next()).payload == 3
    assert [await engine.get_task_status(each) for each in (first, second, third)] == [
        "completed",
        "cancelled",
        "running",
    ]
    assert await engine.cancel_task(first) == []


async def test_cancelling_a_parent_cancels_all_that_depends_on_it(start, store, puppet) -> None:
    engine = await start(store)
    parent = Task("work", "parent")
    child = Task("work", "child", depends_on=[parent.id])
    grandchild = Task("work", "grandchild", depends_on=[child.id])
    await engine.submit_all([parent, child, grandchild])
    act = await puppet.next()
    assert await engine.cancel_task(parent.id) == [parent.id, child.id, grandchild.id]
    for task in (parent, child, grandchild):
        assert (await engine.wait_for_task(task.id)).status is TaskStatus.CANCELLED
    assert act.was_cancelled or await _is_cancelled_soon(act)
    assert len(puppet.acts) == 1
    assert await engine.dead_letters() == []


async def _is_cancelled_soon(act) -> bool:
    with pytest.raises(asyncio.CancelledError):
        await act._end
    return act.was_cancelled


async def test_running_work_is_stopped_and_its_worker_comes_back(start, store, puppet) -> None:
    engine = await start(store, max_workers=1)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    assert await engine.cancel_task(task_id) == [task_id]
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    assert act.was_cancelled


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
async def test_a_task_in_back_off_is_cancelled(start, store, clock) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("boom"))
    assert await clock.timer() == 2
    assert await engine.cancel_task(task_id) == [task_id]
    clock.advance(100)
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.attempts) == ("cancelled", 1)


async def test_the_result_of_work_that_could_not_be_stopped_is_thrown_away(start, store) -> None:
    engine = await start(store)
    may_end = asyncio.Event()

    async def stubborn(payload):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await may_end.wait()
        return "nobody wants this"

    engine.register_processor("stubborn", stubborn)
    running = asyncio.Event()
    engine.register_processor("echo", lambda payload: running.set())
    task_id = await engine.submit(Task("stubborn"))
    await engine.submit(Task("echo"))
    await running.wait()
    assert await engine.cancel_task(task_id) == [task_id]
    may_end.set()
    assert (await engine.wait_for_task(await engine.submit(Task("echo")))).status is TaskStatus.COMPLETED
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.result) == ("cancelled", None)


async def test_a_thread_that_cannot_be_stopped_does_not_keep_its_task_from_being_cancelled(start) -> None:
    engine = await start(MemoryStore(), executors=Executors(grace=0.1))
    begun, may_end = threading.Event(), threading.Event()

    def block(payload):
        begun.set()
        may_end.wait()

    engine.register_processor("block", block)
    task_id = await engine.submit(Task("block", io_bound=True))
    await asyncio.to_thread(begun.wait)
    assert await engine.cancel_task(task_id) == [task_id]
    assert (await engine.wait_for_task(task_id)).status is TaskStatus.CANCELLED
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    may_end.set()


async def test_a_process_is_killed_when_its_task_is_cancelled(start, tmp_path) -> None:
    engine = await start(MemoryStore(), max_process_workers=1)
    engine.register_processor("hang", deeds.say_and_hang_without_gil)
    engine.register_processor("pid", deeds.process_id)
    diary = tmp_path / "diary"
    os.mkfifo(diary)
    task_id = await engine.submit(Task("hang", str(diary), cpu_intensive=True))
    await asyncio.to_thread(diary.read_text)
    assert await engine.cancel_task(task_id) == [task_id]
    result = await engine.wait_for_task(await engine.submit(Task("pid", cpu_intensive=True)))
    assert result.status is TaskStatus.COMPLETED


async def test_cancelling_twice_and_too_late_changes_nothing(start, store) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("echo", 1))
    result = await engine.wait_for_task(task_id)
    assert await engine.cancel_task(task_id) == []
    assert await engine.get_task_result(task_id) == result
    assert engine.queue_metrics()["tasks_completed"] == 1


class Hesitant:
    """A store whose claims arrive when the test lets them."""

    def __init__(self, store) -> None:
        self._store = store
        self.has_claimed, self.may_arrive = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def __aenter__(self):
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *trouble) -> None:
        await self._store.__aexit__(*trouble)

    async def claim(self, limit, heavy):
        claims = await self._store.claim(limit, heavy)
        self.has_claimed.set()
        await self.may_arrive.wait()
        return claims


async def test_a_task_cancelled_while_its_claim_is_on_its_way_is_not_begun(start, store, puppet) -> None:
    hesitant = Hesitant(store)
    engine = await start(hesitant)
    task_id = await engine.submit(Task("work"))
    await hesitant.has_claimed.wait()
    assert await engine.get_task_status(task_id) is TaskStatus.RUNNING
    assert await engine.cancel_task(task_id) == [task_id]
    hesitant.may_arrive.set()
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    await engine.shutdown()
    assert puppet.acts == []


async def test_a_task_cancelled_when_its_claim_has_just_arrived_is_not_begun(start, store, puppet) -> None:
    hesitant = Hesitant(store)
    engine = await start(hesitant)
    task_id = await engine.submit(Task("work"))
    await hesitant.has_claimed.wait()
    hesitant.may_arrive.set()
    assert await engine.cancel_task(task_id) == [task_id]
    assert (await engine.wait_for_task(task_id)).status is TaskStatus.CANCELLED
    await engine.shutdown()
    assert puppet.acts == [] or puppet.acts[0].was_cancelled


async def test_a_cancelled_task_whose_claim_arrives_at_the_shutdown_stays_cancelled(start, store, puppet) -> None:
    hesitant = Hesitant(store)
    engine = await start(hesitant)
    task_id = await engine.submit(Task("work"))
    await hesitant.has_claimed.wait()
    await engine.cancel_task(task_id)
    stopping = asyncio.create_task(engine.shutdown())
    hesitant.may_arrive.set()
    await stopping
    await engine.start()
    assert await engine.get_task_status(task_id) is TaskStatus.CANCELLED
    assert puppet.acts == []


async def test_a_task_cancelled_in_the_breath_in_which_it_was_submitted_is_not_begun(start, puppet) -> None:
    engine = await start(MemoryStore())
    await engine.wait_for_task(await engine.submit(Task("echo")))  # from now on somebody asks for claims
    task_id = await engine.submit(Task("work"))
    assert await engine.get_task_status(task_id) is TaskStatus.RUNNING
    assert await engine.cancel_task(task_id) == [task_id]
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    await engine.shutdown()
    assert puppet.acts == []


async def test_what_goes_down_with_a_task_is_summed_up_in_one_line_of_the_log(start, store, caplog) -> None:
    engine = await start(store, max_workers=0)
    parent = Task("echo")
    await engine.submit_all([parent, *(Task("echo", depends_on=[parent.id]) for _ in range(20))])
    await engine.cancel_task(parent.id, "not wanted")
    await asyncio.sleep(0)
    said = [record.getMessage() for record in caplog.records if "cancelled" in record.getMessage()]
    assert said == [f"21 tasks ended cancelled, the first of them {parent.id}: not wanted"]
