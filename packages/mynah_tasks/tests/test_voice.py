import asyncio
import json
import threading

import pytest

from mynah_resilience import BreakerState, EventBus
from mynah_tasks.errors import EngineStopped, QueueFull, StoreUnavailable, UnknownTask
from mynah_tasks.facades import AsyncVoiceQueue, EnhancedVoiceEngine, VoiceTask
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Entry, Priority, TaskResult


class Ears:
    """Hears what it is told, once it is told; notes how many listen at a time and in which order."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.heard = 0
        self.order = []
        """How long each listening may take, to a hundred seconds, which tells them apart."""
        self.peak = 0
        self.listening = 0
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self._lock = threading.Lock()

    def listen_with_confidence(self, timeout):
        with self._lock:
            self.listening += 1
            self.peak = max(self.peak, self.listening)
            self.order.append(round(timeout, -2))
        self.begun.release()
        self.may_end.acquire()
        with self._lock:
            self.listening -= 1
            answer = self.answers[self.heard] if self.heard < len(self.answers) else (f"words {self.heard}", 0.9)
            self.heard += 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def wait_for(self, count):
        for _ in range(count):
            await asyncio.to_thread(self.begun.acquire)

    def let(self, count):
        self.may_end.release(count)


async def settle():
    """Let tasks that were created get to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


def events(engine):
    return [(event.name, event.data) for event in engine.event_bus.history]


def names(engine):
    return [event.name for event in engine.event_bus.history]


@pytest.fixture
def deaf():
    ears = Ears()
    yield ears
    ears.let(1000)


@pytest.mark.req("STT-07", "EVB-04")
async def test_listen_async_hears_publishes_completes_and_returns_in_this_order():
    ears = Ears(("turn on the light", 0.87))
    ears.let(1)
    async with EnhancedVoiceEngine(ears) as engine:
        assert await engine.listen_async(timeout=60) == ("turn on the light", 0.87)
        (task,) = await engine.engine.list_tasks()
        assert task.state.status is TaskStatus.COMPLETED
    assert events(engine)[0] == ("voice_recognized", {"text": "turn on the light", "confidence": 0.87})
    assert names(engine) == ["voice_recognized", "task_completed"]


@pytest.mark.req("STT-09", "EVB-04")
async def test_listen_async_that_fails_gives_nothing_and_says_so():
    ears = Ears(OSError("no microphone"), ("better", 0.5))
    ears.let(2)
    async with EnhancedVoiceEngine(ears) as engine:
        assert await engine.listen_async(timeout=60) == (None, 0.0)
        failed = [data for name, data in events(engine) if name == "voice_failed"]
        assert [data["error"] for data in failed] == ["OSError: no microphone"]
        assert await engine.listen_async(timeout=60) == ("better", 0.5)
        status = engine.circuit_breaker.status()
        assert engine.engine.queue_metrics()["success_rate"] == 0.5
    assert status.success_rate == 0.5
    assert ears.heard == 2


async def test_listen_async_that_understands_nothing_is_no_failure_of_the_ears():
    ears = Ears((None, 0.0))
    ears.let(1)
    async with EnhancedVoiceEngine(ears) as engine:
        assert await engine.listen_async(timeout=60) == (None, 0.0)
        assert engine.circuit_breaker.status().failures == 0
    assert events(engine)[-1][1]["error"] == "nothing was understood"


@pytest.mark.req("STT-08", "FLAW-J3")
async def test_listen_async_of_the_highest_priority_overtakes_those_that_wait(deaf):
    async with EnhancedVoiceEngine(deaf) as engine, asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(engine.listen_async(timeout=100))
        await deaf.wait_for(3)
        for timeout in range(1000, 2000, 100):
            group.create_task(engine.listen_async(timeout))
        group.create_task(engine.listen_async(4000, priority=1))
        group.create_task(engine.listen_async(5000, priority=2))
        await settle()
        assert engine.voice_queue.size() == 12
        for _ in range(12):
            deaf.let(1)
            await deaf.wait_for(1)
        deaf.let(3)
    assert deaf.order == [100, 100, 100, 5000, 4000, *range(1000, 2000, 100)]


@pytest.mark.req("Q-02", "PERF-07", "FLAW-J3")
async def test_no_more_than_three_listen_at_a_time(deaf):
    async with EnhancedVoiceEngine(deaf) as engine, asyncio.TaskGroup() as group:
        tasks = [group.create_task(engine.listen_async(timeout=60)) for _ in range(30)]
        await deaf.wait_for(3)
        deaf.let(30)
        await asyncio.wait(tasks)
    assert deaf.peak == 3
    assert sorted(task.result()[0] for task in tasks) == sorted(f"words {number}" for number in range(30))


@pytest.mark.req("STT-07", "FLAW-J2")
async def test_listen_async_listens_once_a_call_and_leaves_the_line_empty():
    ears = Ears()
    ears.let(150)
    async with EnhancedVoiceEngine(ears) as engine:
        for _ in range(150):
            assert (await engine.listen_async(timeout=60))[1] == 0.9
        assert engine.voice_queue.size() == 0
    assert ears.heard == 150


@pytest.mark.req("STT-07", "Q-01", "EVB-04")
async def test_listen_async_is_refused_at_once_when_a_hundred_wait(deaf):
    async with EnhancedVoiceEngine(deaf) as engine:
        tasks = [asyncio.create_task(engine.listen_async(timeout=60)) for _ in range(3)]
        await deaf.wait_for(3)
        tasks += [asyncio.create_task(engine.listen_async(timeout=60)) for _ in range(100)]
        await settle()
        assert engine.voice_queue.is_full()
        assert engine.voice_queue.size() == 100
        assert await engine.listen_async(timeout=60) == (None, 0.0)
        assert sorted(names(engine)) == ["queue_full", "voice_failed"]
        deaf.let(200)
        assert {confidence for _, confidence in await asyncio.gather(*tasks)} == {0.9}


class Listening:
    """Ears that listen to the end of the time they have, and understand nothing."""

    def __init__(self):
        self.times = []
        self.words = threading.Event()

    def listen_with_confidence(self, timeout):
        self.times.append(timeout)
        self.words.wait(timeout)
        return None, 0.0


@pytest.mark.req("STT-09", "CB-06")
async def test_silence_to_the_very_end_is_no_failure_of_the_ears():
    ears = Listening()
    async with EnhancedVoiceEngine(ears) as engine:
        for _ in range(6):
            assert await engine.listen_async(timeout=0.02) == (None, 0.0)
        status = engine.circuit_breaker.status()
    assert (status.state, status.failures, len(ears.times)) == (BreakerState.CLOSED, 0, 6)
    assert {data["error"] for name, data in events(engine) if name == "voice_failed"} == {"nothing was understood"}


@pytest.mark.req("STT-09", "CB-06")
async def test_ears_are_not_asked_when_the_time_was_used_up_in_the_line(deaf):
    async with EnhancedVoiceEngine(deaf) as engine:
        assert await engine.listen_async(timeout=1e-9) == (None, 0.0)
        assert engine.circuit_breaker.status().failures == 0
    assert deaf.order == []
    assert events(engine)[-1][1]["error"] == "DeadlineExceeded: no time was left to listen"


@pytest.mark.req("STT-09", "EVB-04", "CB-06", "FLAW-J5", "FLAW-J6")
async def test_ears_that_keep_failing_open_the_breaker_and_are_left_alone():
    ears = Ears(*[OSError("no microphone")] * 20)
    ears.let(20)
    async with EnhancedVoiceEngine(ears) as engine:
        for _ in range(8):
            assert await engine.listen_async(timeout=60) == (None, 0.0)
        assert engine.circuit_breaker.state is BreakerState.OPEN
    assert ears.heard == 5
    assert names(engine).count("circuit_breaker_open") == 1
    assert events(engine)[-1][1]["error"].startswith("CircuitOpen")


@pytest.mark.req("STT-09")
async def test_listen_async_ends_at_its_timeout_although_the_ears_hang(deaf):
    async with EnhancedVoiceEngine(deaf) as engine:
        assert await engine.listen_async(timeout=0.05) == (None, 0.0)
        assert engine.circuit_breaker.status().failures == 1
        deaf.let(1)
    assert events(engine)[-1][0] == "voice_failed"


async def test_listen_async_that_is_cancelled_leaves_the_line(deaf):
    async with EnhancedVoiceEngine(deaf) as engine:
        running = [asyncio.create_task(engine.listen_async(timeout=60)) for _ in range(3)]
        await deaf.wait_for(3)
        waiting = asyncio.create_task(engine.listen_async(timeout=60))
        await settle()
        assert engine.voice_queue.size() == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert engine.voice_queue.size() == 0
        deaf.let(3)
        await asyncio.gather(*running)
    assert deaf.heard == 3


@pytest.mark.req("EVB-05")
async def test_default_handlers_write_down_what_an_operator_follows(caplog):
    caplog.set_level("INFO")
    ears = Ears(("hello", 0.9), *[OSError("no microphone")] * 5)
    ears.let(6)
    async with EnhancedVoiceEngine(ears) as engine:
        for _ in range(6):
            await engine.listen_async(timeout=60)
    written = [record.message for record in caplog.records if record.name == "mynah_tasks.facades.recognition"]
    assert written[0] == "voice_recognized"
    assert {"voice_failed", "circuit_breaker_open"} < set(written)
    assert "hello" not in caplog.text


async def test_who_listens_when_the_engine_closes_gets_nothing_but_an_answer(deaf):
    async with EnhancedVoiceEngine(deaf) as engine:
        listening = asyncio.create_task(engine.listen_async(timeout=60))
        await deaf.wait_for(1)
        await engine.engine.shutdown(timeout=0)
        assert await listening == (None, 0.0)
        deaf.let(1)


async def test_a_bus_that_was_given_outlives_the_engine():
    async with EventBus() as bus:
        ears = Ears()
        ears.let(1)
        async with EnhancedVoiceEngine(ears, bus) as engine:
            await engine.listen_async(timeout=60)
        await bus.publish("still there")
    assert bus.history[-1].name == "still there"


@pytest.mark.req("ENG-20")
@pytest.mark.parametrize(("urgency", "priority"), [(0, Priority.NORMAL), (1, Priority.HIGH), (2, Priority.CRITICAL)])
def test_a_voice_task_and_a_task_are_the_same_thing_in_other_words(urgency, priority):
    wanted = VoiceTask(text="hi", confidence=0.4, priority=urgency)
    task = wanted.to_task()
    assert (task.id, task.priority, task.max_retries) == (wanted.task_id, priority, 3)
    state = TaskResult(task.id, TaskStatus.PENDING, created_at=wanted.timestamp)
    assert VoiceTask.of(Entry(task, state)) == wanted


@pytest.mark.req("ENG-20")
def test_a_voice_task_shows_what_became_of_it():
    task = VoiceTask(task_id="7").to_task()
    done = TaskResult("7", TaskStatus.COMPLETED, {"text": "hello", "confidence": 0.8}, created_at=12.0, attempts=3)
    shown = VoiceTask.of(Entry(task, done))
    assert (shown.text, shown.confidence, shown.status, shown.retries) == ("hello", 0.8, "completed", 2)
    assert shown.timestamp == 12.0
    failed = VoiceTask.of(Entry(task, TaskResult("7", TaskStatus.FAILED, error="OSError: no microphone", attempts=1)))
    assert (failed.error, failed.text, failed.retries) == ("OSError: no microphone", None, 0)
    assert json.dumps(task.to_dict())


@pytest.mark.req("Q-03", "Q-01")
async def test_a_voice_queue_gives_the_urgent_first_and_then_the_first_that_came():
    async with AsyncVoiceQueue() as queue:
        for number, urgency in enumerate([0, 0, 2, 1, 2, 0]):
            await queue.enqueue(VoiceTask(task_id=str(number), priority=urgency))
        assert queue.size() == 6
        taken = [(await queue.dequeue()).task_id for _ in range(6)]
        assert taken == ["2", "4", "3", "0", "1", "5"]
        assert (queue.size(), list(queue.in_flight)) == (0, taken)
        await queue.complete_task("2", {"text": "hello", "confidence": 1.0})
        await queue.complete_task("4", error="no microphone")
        assert list(queue.in_flight) == ["3", "0", "1", "5"]
        with pytest.raises(UnknownTask):
            await queue.complete_task("2")


@pytest.mark.req("Q-01", "Q-03")
async def test_a_full_voice_queue_refuses_at_once():
    async with AsyncVoiceQueue(max_size=2) as queue:
        await queue.enqueue(VoiceTask())
        assert not queue.is_full()
        await queue.enqueue(VoiceTask())
        assert queue.is_full()
        with pytest.raises(QueueFull):
            await queue.enqueue(VoiceTask(priority=2))
        await queue.dequeue()
        await queue.enqueue(VoiceTask())


@pytest.mark.req("Q-03")
async def test_a_voice_task_stays_in_flight_until_the_store_has_its_end():
    class Flaky(MemoryStore):
        fails = True

        async def finish(self, claim, outcome):
            if self.fails:
                raise StoreUnavailable("the disk is full")
            await super().finish(claim, outcome)

    store = Flaky()
    async with AsyncVoiceQueue(store=store) as queue:
        task_id = await queue.enqueue(VoiceTask())
        await queue.dequeue()
        with pytest.raises(StoreUnavailable):
            await queue.complete_task(task_id)
        store.fails = False
        await queue.complete_task(task_id)
        assert queue.in_flight == {}


@pytest.mark.req("Q-03")
async def test_several_may_take_from_one_voice_queue():
    async with AsyncVoiceQueue() as queue:
        consumers = [asyncio.create_task(queue.dequeue()) for _ in range(3)]
        gone = consumers.pop(0)
        await settle()
        gone.cancel()
        sent = [await queue.enqueue(VoiceTask()) for _ in range(2)]
        assert sorted(task.task_id for task in await asyncio.gather(*consumers)) == sorted(sent)


@pytest.mark.req("Q-03", "SHD-04")
async def test_whoever_waits_for_a_voice_task_hears_that_the_queue_is_closed():
    async with AsyncVoiceQueue() as queue:
        waiting = asyncio.create_task(queue.dequeue())
        await asyncio.sleep(0)
    with pytest.raises(EngineStopped):
        await waiting
