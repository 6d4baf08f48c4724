"""The engine at work: submitting, ordering, running, waiting."""

import asyncio
import inspect
import math
import os
import threading

import pytest

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.context import current_claim
from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import EngineStopped, QueueFull, UnknownTask, UnknownTaskType
from mynah_tasks.executors import ExecutorKind, Executors, MemoryGate
from mynah_tasks.presets import GATEWAY, JOBS, POOL, PROCESSOR, VOICE
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Priority, Task
from mynah_tasks.tests import deeds


@pytest.mark.req("ENG-01")
def test_the_knobs_have_the_processors_defaults() -> None:
    knobs = {name: knob.default for name, knob in inspect.signature(TaskEngine).parameters.items()}
    asked = {
        "max_workers": 10,
        "max_thread_workers": 5,
        "max_process_workers": 2,
        "queue_size": 1000,
        "enable_monitoring": True,
        "enable_profiling": False,
    }
    assert asked.items() <= knobs.items()


@pytest.mark.req("ENG-01", "CFG-03")
def test_the_production_example_can_be_built() -> None:
    TaskEngine(
        max_workers=20,
        max_thread_workers=10,
        max_process_workers=4,
        queue_size=5000,
        enable_monitoring=True,
        enable_profiling=False,
    )


@pytest.mark.req("ENG-01", "Q-04", "Q-10", "CFG-03")
@pytest.mark.parametrize(
    ("preset", "numbers"),
    [
        (VOICE, (3, 100, 30.0)),
        (PROCESSOR, (10, 1000, None)),
        (GATEWAY, (5, 10_000, 30.0)),
        (POOL, (4, 50, 30.0)),
        (JOBS, (2, 1000, 3600.0)),
    ],
)
def test_the_presets_have_the_sizes_of_the_five_queues_that_they_replace(preset, numbers) -> None:
    assert (preset.workers, preset.capacity, preset.timeout) == numbers


@pytest.mark.req("ENG-08")
def test_the_methods_have_the_processors_names() -> None:
    names = [
        "start", "shutdown", "submit_task", "cancel_task", "wait_for_task", "get_task_status", "get_task_result",
        "get_performance_metrics", "register_processor",
    ]  # fmt: skip
    assert [name for name in names if not callable(getattr(TaskEngine, name, None))] == []
    assert inspect.signature(TaskEngine.shutdown).parameters["timeout"].default == 30.0
    assert inspect.signature(TaskEngine.wait_for_task).parameters["timeout"].default is None


@pytest.mark.req("ENG-07", "ENG-08")
async def test_a_task_is_submitted_and_its_result_waited_for(start, store) -> None:
    engine = await start(store)
    task = Task("echo", {"n": 1})
    assert await engine.submit_task(task) == task.id
    result = await engine.wait_for_task(task.id)
    assert (result.task_id, result.status, result.result, result.error) == (task.id, "completed", {"n": 1}, None)
    assert await engine.get_task_status(task.id) is TaskStatus.COMPLETED
    assert await engine.get_task_result(task.id) == result
    assert (await engine.get_task(task.id)).task == task


@pytest.mark.req("ENG-08", "FLAW-A4")
async def test_a_task_that_runs_has_a_status_and_no_result_yet(start, store, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    assert await engine.get_task_status(task_id) is TaskStatus.RUNNING
    assert await engine.get_task_result(task_id) is None
    act.succeed(1)
    assert (await engine.wait_for_task(task_id)).result == 1


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("ENG-08")
async def test_waiting_for_a_result_has_a_limit_and_leaves_the_task_alone(start, store, clock, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    waiting = asyncio.create_task(engine.wait_for_task(task_id, timeout=5))
    assert await clock.to_next_timer() == 5
    with pytest.raises(asyncio.TimeoutError):
        await waiting
    act.succeed(1)
    assert (await engine.wait_for_task(task_id, timeout=5)).result == 1


async def test_unknown_ids_are_said_to_be_unknown(start, store) -> None:
    engine = await start(store)
    for asking in (
        engine.get_task("x"),
        engine.get_task_status("x"),
        engine.get_task_result("x"),
        engine.wait_for_task("x"),
    ):
        with pytest.raises(UnknownTask, match="there is no task x"):
            await asking
    assert await engine.cancel_task("x") == []


async def test_a_type_that_nobody_processes_is_refused(start) -> None:
    engine = await start()
    with pytest.raises(UnknownTaskType, match="'dance'"):
        await engine.submit(Task("dance"))


@pytest.mark.req("Q-02")
async def test_at_most_so_many_run_at_a_time_and_as_many_do(start, store, puppet) -> None:
    engine = await start(store, max_workers=3)
    ids = await engine.submit_all([Task("work", n) for n in range(10)])
    for finished in range(10):
        running = min(3, 10 - finished)
        while len(puppet.acts) < finished + running:
            await puppet.next()
        assert engine.get_performance_metrics()["running_tasks"] <= 3
        puppet.acts[finished].succeed()
    assert [(await engine.wait_for_task(task_id)).status for task_id in ids] == ["completed"] * 10
    assert len(puppet.acts) == 10


@pytest.mark.req("STT-08", "Q-01", "ENG-04")
async def test_a_critical_task_overtakes_ten_that_wait_behind_three_running_ones(start, store, puppet) -> None:
    engine = await start(store, max_workers=3)
    await engine.submit_all([Task("work", "running") for _ in range(3)])
    running = [await puppet.next() for _ in range(3)]
    await engine.submit_all([Task("work", n) for n in range(10)])
    await engine.submit(Task("work", "critical", Priority.from_urgency(2)))
    running[1].succeed()
    assert (await puppet.next()).payload == "critical"


@pytest.mark.req("Q-01", "FLAW-J1", "FLAW-A7")
async def test_equal_priorities_run_in_the_order_in_which_they_came(start, store) -> None:
    engine = await start(store, max_workers=1)
    order = []
    engine.register_processor("note", order.append)
    ids = await engine.submit_all([Task("note", n) for n in range(100)])
    await engine.wait_for_task(ids[-1])
    assert order == list(range(100))


@pytest.mark.req("Q-01", "Q-08")
async def test_a_full_queue_refuses_at_once_and_says_so(start, store, puppet) -> None:
    heard = []

    class Events:
        async def publish(self, event, data=None):
            heard.append((event, data))

    engine = await start(store, max_workers=1, queue_size=100, events=Events())
    await engine.submit(Task("work"))
    await puppet.next()
    await engine.submit_all([Task("work") for _ in range(100)])
    with pytest.raises(QueueFull):
        await engine.submit(Task("work"))
    await engine.shutdown(0)
    assert heard[0] == ("queue_full", {"queue_size": 100, "capacity": 100})


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("Q-08")
async def test_whoever_wants_to_waits_for_room_for_so_long(start, store, clock, puppet) -> None:
    engine = await start(store, max_workers=1, queue_size=1)
    await engine.submit(Task("work", 0))
    act = await puppet.next()
    await engine.submit(Task("work", 1))
    patient = asyncio.create_task(engine.submit(Task("work", 2), wait=10))
    assert await clock.timer() == 10
    act.succeed()
    await patient
    impatient = asyncio.create_task(engine.submit(Task("work", 3), wait=10))
    await clock.to_next_timer()
    with pytest.raises(QueueFull):
        await impatient


async def test_who_waited_for_room_is_not_refused_what_has_been_written_down_meanwhile(start, clock, puppet) -> None:
    written, may_say = asyncio.Event(), asyncio.Event()

    class Slow(MemoryStore):
        async def add(self, tasks):
            ids = await super().add(tasks)
            if tasks[0].payload == "late":
                written.set()
                await may_say.wait()
            return ids

    engine = await start(Slow(), max_workers=1, queue_size=1)
    await engine.submit(Task("work"))
    act = await puppet.next()
    await engine.submit(Task("work"))
    late = Task("work", "late")
    patient = asyncio.create_task(engine.submit(late, wait=10))
    await clock.timer()
    act.succeed()
    await written.wait()
    clock.advance(11)
    may_say.set()
    assert await patient == late.id


async def test_what_can_never_fit_is_not_waited_for(start) -> None:
    engine = await start(queue_size=2)
    with pytest.raises(QueueFull):
        await engine.submit_all([Task("echo") for _ in range(3)], wait=1000)


@pytest.mark.req("ENG-16")
async def test_a_batch_of_a_thousand_is_worked_off(start, store) -> None:
    engine = await start(store)
    ids = await engine.submit_all([Task("echo", n, Priority.BATCH) for n in range(1000)])
    assert [(await engine.wait_for_task(task_id)).result for task_id in ids] == list(range(1000))
    assert engine.get_performance_metrics()["tasks_processed"] == 1000


@pytest.mark.req("ENG-10")
async def test_the_diamond_runs_its_two_parents_at_the_same_time_and_the_child_after_both(start, store, puppet) -> None:
    engine = await start(store)
    transcription = Task("work", "audio_transcription")
    emotion = Task("work", "emotion_analysis")
    answer = Task("work", "ai_response", depends_on=[transcription.id, emotion.id])
    await engine.submit_all([answer, transcription, emotion])
    parents = [await puppet.next(), await puppet.next()]
    assert [act.payload for act in parents] == ["audio_transcription", "emotion_analysis"]
    parents[0].succeed()
    parents[1].succeed()
    child = await puppet.next()
    assert child.payload == "ai_response"
    child.succeed("hello")
    assert (await engine.wait_for_task(answer.id)).result == "hello"


@pytest.mark.req("ENG-15")
async def test_a_processor_is_registered_and_replaced(start, store) -> None:
    engine = await start(store)

    async def double(payload):
        return payload * 2

    engine.register_processor("custom", double)
    assert (await engine.wait_for_task(await engine.submit(Task("custom", 21)))).result == 42
    engine.register_processor("custom", str)
    assert (await engine.wait_for_task(await engine.submit(Task("custom", 21)))).result == "21"


@pytest.mark.req("ENG-09", "FLAW-A1")
async def test_a_tasks_hints_say_where_it_runs(start) -> None:
    engine = await start()
    engine.register_processor("where", deeds.whereabouts)

    async def where(**hints) -> list:
        return (await engine.wait_for_task(await engine.submit(Task("where", None, **hints)))).result

    here, loop_thread = os.getpid(), threading.current_thread().name
    assert await where() == [here, loop_thread]
    pid, thread = await where(io_bound=True)
    assert pid == here
    assert thread != loop_thread
    assert (await where(cpu_intensive=True))[0] != here
    assert await where(memory_intensive=True) == [here, loop_thread]


async def test_a_processor_may_say_where_it_runs_whatever_the_hints(start) -> None:
    engine = await start()
    engine.register_processor("where", deeds.whereabouts, kind=ExecutorKind.MODEL_THREAD)
    result = await engine.wait_for_task(await engine.submit(Task("where", None, cpu_intensive=True)))
    assert result.result[0] == os.getpid()
    assert result.result[1] != threading.current_thread().name


@pytest.mark.req("ENG-17")
async def test_memory_intensive_tasks_run_one_by_one_when_memory_is_short(start, store, puppet) -> None:
    engine = await start(store, executors=Executors(memory=MemoryGate(need=512, free=lambda: 600)))
    await engine.submit_all([Task("work", n, memory_intensive=True) for n in range(3)] + [Task("work", "light")])
    acts = [await puppet.next(), await puppet.next()]
    assert {act.payload for act in acts} == {0, "light"}
    assert await engine.get_task_status((await engine.list_tasks(limit=3))[-1].task.id) is TaskStatus.PENDING
    next(act for act in acts if act.payload == 0).succeed()
    assert (await puppet.next()).payload == 1


async def test_a_processor_knows_its_task_and_attempt(start, store) -> None:
    engine = await start(store)
    engine.register_processor("who", lambda _: [current_claim().task.id, current_claim().attempt])
    for hints in ({}, {"io_bound": True}):
        task = Task("who", **hints)
        await engine.submit(task)
        assert (await engine.wait_for_task(task.id)).result == [task.id, 1]


async def test_what_a_processor_does_to_its_context_is_gone_with_it(start) -> None:
    engine = await start(max_workers=1, retry=RetryPolicy(base=0, jitter=0))
    seen = []

    async def look(payload):
        seen.append(current_claim().task.payload)

    engine.register_processor("look", look)
    ids = await engine.submit_all([Task("look", n) for n in range(3)])
    await engine.wait_for_task(ids[-1])
    assert seen == [0, 1, 2]
    with pytest.raises(LookupError):
        current_claim()


async def test_an_engine_that_does_not_run_takes_nothing(start) -> None:
    engine = await start()
    await engine.shutdown()
    with pytest.raises(EngineStopped):
        await engine.submit(Task("echo"))
    unborn = TaskEngine()
    unborn.register_processor("echo", str)
    with pytest.raises(EngineStopped):
        await unborn.submit(Task("echo"))


async def test_an_engine_starts_once_at_a_time_and_again_after_its_end(start) -> None:
    engine = await start()
    with pytest.raises(RuntimeError, match="is running"):
        await engine.start()
    await engine.shutdown()
    await engine.start()
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1


async def test_an_engine_without_workers_only_accepts(tmp_path) -> None:
    async with TaskEngine(SqliteStore(tmp_path / "tasks.db"), max_workers=0) as engine:
        await engine.submit(Task("somebody else's", id="a"))
    async with TaskEngine(SqliteStore(tmp_path / "tasks.db")) as engine:
        engine.register_processor("somebody else's", lambda _: "done")
        assert (await engine.wait_for_task("a")).result == "done"


@pytest.mark.req("ENG-21")
async def test_the_teddy_flow_ends_within_its_thirty_seconds(start, store, clock) -> None:
    engine = await start(store)
    both = asyncio.Barrier(2)

    async def listen(payload):
        await both.wait()  # ends only when the other one runs at the same time
        return payload

    engine.register_processor("audio_transcription", listen)
    engine.register_processor("emotion_analysis", listen)
    engine.register_processor("ai_response", lambda payload: f"answer to {payload}")
    hear, feel = Task("audio_transcription", "hi", timeout=30), Task("emotion_analysis", "happy", timeout=30)
    answer = Task("ai_response", "hi", Priority.HIGH, depends_on=[hear.id, feel.id], timeout=10)
    await engine.submit_all([hear, feel, answer])
    assert (await engine.wait_for_task(answer.id, timeout=30)).result == "answer to hi"


@pytest.mark.parametrize("timeout", [0, -1.0, math.nan, math.inf, 10**400])
def test_an_engine_gives_no_time_that_is_none_or_never_ends(timeout) -> None:
    with pytest.raises(ValueError, match="a timeout of"):
        TaskEngine(default_timeout=timeout)
