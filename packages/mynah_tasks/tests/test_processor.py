import asyncio
import inspect
import os
import threading

import numpy as np
import pytest

from mynah_resilience import RetryPolicy
from mynah_tasks.errors import QueueFull, UnknownTask
from mynah_tasks.executors import Executors
from mynah_tasks.facades import AdvancedAsyncProcessor, create_processor
from mynah_tasks.facades.processor import create_task
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Priority, Task
from mynah_tasks.task_types import PROFILES, Services, TaskType
from mynah_tasks.tests import deeds
from mynah_tasks.tests.test_audio_enhancement import snr_db, tones, with_noise

AT_ONCE = RetryPolicy(base=0)


@pytest.fixture
async def processor():
    processor = await create_processor()
    yield processor
    await processor.shutdown()


async def outcome(processor, task):
    return await processor.wait_for_task(await processor.submit_task(task), timeout=60)


@pytest.mark.req("ENG-01", "CFG-03")
def test_the_knobs_have_the_defaults_of_old():
    defaults = {
        name: knob.default for name, knob in inspect.signature(AdvancedAsyncProcessor.__mro__[1]).parameters.items()
    }
    assert (defaults["max_workers"], defaults["max_thread_workers"], defaults["max_process_workers"]) == (10, 5, 2)
    assert (defaults["queue_size"], defaults["enable_monitoring"], defaults["enable_profiling"]) == (1000, True, False)


@pytest.mark.req("ENG-01", "ENG-02", "ENG-08")
async def test_a_processor_is_created_running_with_the_knobs_of_a_production():
    processor = await create_processor(
        max_workers=20,
        max_thread_workers=10,
        max_process_workers=4,
        queue_size=5000,
        enable_monitoring=True,
        enable_profiling=False,
    )
    metrics = processor.get_performance_metrics()
    assert len(metrics["worker_stats"]) == 20
    assert processor.health()["status"] == "healthy"
    await processor.shutdown(timeout=30.0)
    assert processor.health() == {"status": "unhealthy", "reason": "processor_stopped"}


@pytest.mark.req("ENG-03", "ENG-08")
async def test_a_processor_takes_all_eleven_types(processor):
    ids = await asyncio.gather(*(processor.submit_task(Task(task_type, max_retries=0)) for task_type in TaskType))
    results = await asyncio.gather(*(processor.wait_for_task(task_id, timeout=60) for task_id in ids))
    assert {result.status for result in results} == {TaskStatus.FAILED}
    assert {result.error.split(":")[0] for result in results} == {"BadPayload", "RemoteFailure"}


@pytest.mark.req("ENG-15")
async def test_a_custom_task_runs_its_own_function(processor):
    task = create_task(TaskType.CUSTOM, {"processor": lambda payload: payload["input"] * 2, "input": 21})
    assert (await outcome(processor, task)).result == 42


@pytest.mark.req("ENG-15", "ENG-08")
async def test_a_processor_of_a_type_can_be_replaced(processor):
    processor.register_processor("custom", lambda payload: f"mine: {payload}")
    assert (await outcome(processor, Task("custom", 1))).result == "mine: 1"
    processor.register_processor("greeting", lambda payload: f"hello {payload}")
    assert (await outcome(processor, create_task("greeting", "Ada"))).result == "hello Ada"


@pytest.mark.req("ENG-09")
@pytest.mark.parametrize(
    ("hints", "is_here", "thread"),
    [
        ({}, True, "MainThread"),
        ({"io_bound": True}, True, "mynah-thread-1"),
        ({"cpu_intensive": True}, False, "MainThread"),
        ({"memory_intensive": True}, True, "MainThread"),
        ({"memory_intensive": True, "cpu_intensive": True}, False, "MainThread"),
    ],
)
async def test_hints_say_where_a_task_runs(processor, hints, is_here, thread):
    processor.register_processor("where", deeds.whereabouts)
    pid, name = (await outcome(processor, create_task("where", **hints))).result
    assert (pid == os.getpid()) is is_here
    assert name == thread


@pytest.mark.req("ENG-13")
@pytest.mark.parametrize("deed", [deeds.hang_without_gil, deeds.hang_with_gil])
async def test_a_hung_call_in_a_process_times_out_and_its_slot_comes_back(deed):
    async with AdvancedAsyncProcessor(max_process_workers=1) as processor:
        processor.register_processor("hang", deed)
        processor.register_processor("where", deeds.whereabouts)
        result = await outcome(processor, create_task("hang", cpu_intensive=True, timeout=0.2, max_retries=0))
        assert result.status is TaskStatus.TIMEOUT
        assert (await outcome(processor, create_task("where", cpu_intensive=True))).status is TaskStatus.COMPLETED


@pytest.mark.req("ENG-13", "SHD-01")
async def test_a_hung_thread_times_out_stays_counted_and_does_not_hold_up_the_shutdown():
    executors = Executors(threads=1, grace=0.05)
    may_end = threading.Event()
    async with AdvancedAsyncProcessor(executors=executors) as processor:
        processor.register_processor("hang", lambda _: may_end.wait())
        result = await outcome(processor, create_task("hang", io_bound=True, timeout=0.05, max_retries=0))
        assert result.status is TaskStatus.TIMEOUT
        assert executors.load().threads_busy == 1
    may_end.set()


@pytest.mark.req("ENG-14", "TST-07")
async def test_poison_ends_as_dead_letters_after_its_attempts_and_hurts_nobody_else(capfd):
    """A mixture of 1 task in 10 that crashes its process, exits, or raises."""
    async with AdvancedAsyncProcessor(retry=AT_ONCE, enable_profiling=True) as processor:
        poisons = {"crash": deeds.crash, "exit": deeds.leave, "vanish": deeds.vanish}
        for name, deed in {**poisons, "good": deeds.echo}.items():
            processor.register_processor(name, deed)
        bad = [create_task(name, 3, cpu_intensive=True, max_retries=2) for name in poisons]
        good = [create_task("good", number, cpu_intensive=True) for number in range(27)]
        for number, task in enumerate(bad):
            good.insert(10 * number, task)
        ids = [await processor.submit_task(task) for task in good]
        results = {task_id: await processor.wait_for_task(task_id, timeout=60) for task_id in ids}
        letters = await processor.dead_letters()
    assert {letter.task_id for letter in letters} == {task.id for task in bad}
    assert {results[task.id].attempts for task in bad} == {3}
    assert all(results[task.id].status is TaskStatus.COMPLETED for task in good if task not in bad)
    assert all(results[task.id].attempts == 1 for task in good if task not in bad)


async def test_an_engine_whose_processes_die_again_and_again_says_so(capfd):
    async with AdvancedAsyncProcessor(retry=AT_ONCE) as processor:
        processor.register_processor("crash", deeds.crash)
        for retries, reason in ((0, "low_success_rate"), (3, "processes_crash")):
            task = create_task("crash", cpu_intensive=True, max_retries=retries)
            await processor.wait_for_task(await processor.submit_task(task), timeout=60)
            assert processor.health() == {"status": "degraded", "reason": reason}


@pytest.mark.req("ENG-10", "ENG-21")
async def test_the_flow_of_the_teddy_bear():
    """Transcription and emotion side by side, the answer after both."""
    order = []
    emotion_done = asyncio.Event()

    async def transcribe(request):
        order.append("transcription begins")
        await emotion_done.wait()
        return {"text": "tell me a story"}

    async def respond(request):
        order.append("answer begins")
        return f"A story for somebody of {request.context['child_age']}"

    services = Services(transcriber=transcribe, responder=respond)
    async with AdvancedAsyncProcessor(services=services, max_workers=8) as teddy:
        heard = create_task("audio_transcription", {"audio_data": "AAAA"}, Priority.HIGH)
        felt = create_task("emotion_analysis", {"text": "I am so happy", "analysis_type": "text"}, Priority.HIGH)
        answer = create_task(
            "ai_response",
            {"prompt_template": "a story", "context": {"child_age": 6, "emotion": "happy", "session_id": "s1"}},
            depends_on=[heard.id, felt.id],
        )
        for task in (heard, felt, answer):
            await teddy.submit_task(task)
        emotion = await teddy.wait_for_task(felt.id, timeout=60)
        assert order == ["transcription begins"]
        assert await teddy.get_task_status(answer.id) is TaskStatus.PENDING
        emotion_done.set()
        result = await teddy.wait_for_task(answer.id, timeout=30)
    assert emotion.result["emotion"] == "happy"
    assert result.result == "A story for somebody of 6"
    assert order == ["transcription begins", "answer begins"]


@pytest.mark.req("STT-10")
async def test_a_noisy_recording_comes_back_clearer_from_a_process(processor):
    clean = tones()
    noisy = with_noise(clean, 5)
    result = await outcome(processor, create_task("audio_enhancement", {"audio_data": noisy, "sample_rate": 16_000}))
    assert snr_db(clean, np.asarray(result.result["audio_data"])) > snr_db(clean, noisy) + 4
    assert result.result["peak"] == pytest.approx(10 ** (-1 / 20))


@pytest.mark.req("ENG-16", "TST-07")
async def test_a_batch_of_a_thousand_is_done(processor):
    tasks = [
        create_task("custom", {"processor": lambda payload: payload["n"], "n": n}, Priority.BATCH) for n in range(1000)
    ]
    ids = [await processor.submit(task, wait=60) for task in tasks]
    results = await asyncio.gather(*(processor.wait_for_task(task_id, timeout=60) for task_id in ids))
    assert [result.result for result in results] == list(range(1000))


@pytest.mark.req("ENG-08")
async def test_ready_tasks_are_those_whose_dependencies_have_completed():
    begun, may_go = asyncio.Event(), asyncio.Event()

    async def wait(_):
        begun.set()
        await may_go.wait()

    async with AdvancedAsyncProcessor(max_workers=1) as processor:
        await processor.submit_task(create_task("custom", {"processor": wait}))
        await begun.wait()
        low, urgent = (create_task("custom", {"processor": wait}, priority) for priority in (4, 1))
        behind = create_task("custom", {"processor": wait}, 1, depends_on=[low.id])
        await processor.submit_all([low, behind, urgent])
        assert [task.id for task in await processor.task_manager.get_ready_tasks()] == [urgent.id, low.id]
        may_go.set()


@pytest.mark.req("ENG-08")
async def test_a_task_is_ready_whose_parents_have_completed_and_are_forgotten():
    both_begun, may_go = asyncio.Barrier(3), asyncio.Event()

    async def wait(_):
        await both_begun.wait()
        await may_go.wait()

    async with AdvancedAsyncProcessor(MemoryStore(keep=1), max_workers=2) as processor:
        processor.register_processor("wait", wait)
        processor.register_processor("now", lambda _: None)
        father, mother, running, _ = parents = [Task(name) for name in ("now", "now", "wait", "wait")]
        child = Task("now", depends_on=[father.id, mother.id])
        grandchild = Task("now", depends_on=[child.id])
        stepchild = Task("now", depends_on=[mother.id, running.id])
        await processor.submit_all([*parents, child, grandchild, stepchild])
        await both_begun.wait()
        with pytest.raises(UnknownTask):
            await processor.get_task(father.id)
        assert await processor.task_manager.get_ready_tasks() == [child]
        may_go.set()


@pytest.mark.req("ENG-03")
def test_every_type_has_a_limit_except_custom():
    assert {task_type for task_type, profile in PROFILES.items() if profile.timeout is None} == {TaskType.CUSTOM}


@pytest.mark.req("Q-01")
async def test_a_full_queue_refuses():
    begun, may_go = asyncio.Event(), asyncio.Event()

    async def wait(_):
        begun.set()
        await may_go.wait()

    async with AdvancedAsyncProcessor(max_workers=1, queue_size=1) as processor:
        await processor.submit_task(create_task("custom", {"processor": wait}))
        await begun.wait()
        await processor.submit_task(create_task("custom", {"processor": wait}))
        with pytest.raises(QueueFull):
            await processor.submit_task(create_task("custom", {"processor": wait}))
        may_go.set()
