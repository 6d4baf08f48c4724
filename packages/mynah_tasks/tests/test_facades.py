import ast
import asyncio
import inspect
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import mynah_tasks.facades
from mynah_tasks.errors import EngineStopped, NotStorable, QueueFull, StoreUnavailable, TaskError, UnknownTaskType
from mynah_tasks.facades import (
    AdvancedAsyncProcessor,
    AsyncTaskQueue,
    EmployeePool,
    EnhancedVoiceEngine,
    JobManager,
    TaskQueue,
    VoiceCache,
    WorkFailed,
    get_job_manager,
)
from mynah_tasks.presets import GATEWAY, JOBS, POOL, PROCESSOR, VOICE
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.tests import cache_writer

FOLDER = Path(mynah_tasks.facades.__file__).parent


@pytest.mark.parametrize("name", [path.name for path in FOLDER.glob("*.py") if path.name != "job_logs.py"])
def test_no_facade_is_longer_than_sixty_lines(name):
    assert len((FOLDER / name).read_text().splitlines()) <= 60


def test_a_facade_stands_on_the_engine_and_has_no_queue_of_its_own():
    for path in FOLDER.glob("*.py"):
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert not calls & {"asyncio.Queue", "asyncio.PriorityQueue", "asyncio.create_task", "heapq.heappush"}


@pytest.mark.parametrize(
    ("preset", "sizes"),
    [
        (VOICE, (3, 100, 30.0)),
        (PROCESSOR, (10, 1000, None)),
        (GATEWAY, (5, 10_000, 30.0)),
        (POOL, (4, 50, 30.0)),
        (JOBS, (2, 1000, 3600.0)),
    ],
)
def test_the_five_presets(preset, sizes):
    assert (preset.workers, preset.capacity, preset.timeout) == sizes


@pytest.mark.req("Q-04", "Q-10", "JOB-01", "POOL-01", "ENG-01")
@pytest.mark.parametrize(
    ("make", "preset"),
    [
        (lambda: AsyncTaskQueue(print), GATEWAY),
        (TaskQueue, GATEWAY),
        (EmployeePool, POOL),
        (JobManager, JOBS),
        (AdvancedAsyncProcessor, PROCESSOR),
        (lambda: EnhancedVoiceEngine(None), VOICE),
    ],
)
async def test_each_facade_has_the_size_of_its_preset(make, preset):
    async with make() as facade:
        engine = getattr(facade, "engine", facade)
        assert engine.queue_metrics()["active_workers"] == preset.workers
        assert engine._rules.capacity == preset.capacity


# The asynchronous task queue


@pytest.mark.req("Q-03", "Q-10", "Q-12", "FLAW-Z1")
async def test_a_queue_gives_its_messages_to_the_handler():
    async def answer(message):
        return {"text": f"you said {message['text']}"}

    async with AsyncTaskQueue(answer) as queue:
        task_id = await queue.enqueue({"text": "hello", "user_id": "ada"})
        result = await queue.wait_for_result(task_id, timeout=60)
        assert result.result == {"text": "you said hello"}
        metrics = queue.get_metrics()
    assert (metrics["tasks_enqueued"], metrics["tasks_completed"], metrics["success_rate"]) == (1, 1, 1.0)


@pytest.mark.req("Q-10")
def test_the_knobs_of_the_queue_have_the_defaults_of_old():
    knobs = {name: knob.default for name, knob in inspect.signature(AsyncTaskQueue).parameters.items()}
    assert (knobs["max_workers"], knobs["queue_size"]) == (5, 10_000)
    knobs = {name: knob.default for name, knob in inspect.signature(AsyncTaskQueue.enqueue).parameters.items()}
    assert (knobs["timeout_seconds"], knobs["max_retries"]) == (30.0, 3)


@pytest.mark.req("Q-07")
async def test_messages_that_fail_for_good_are_dead_letters_and_can_be_cleared():
    def fail(message):
        raise ConnectionError("the agent is gone")

    async with AsyncTaskQueue(fail) as queue:
        message = {"user_id": "ada", "message": "hello"}
        task_id = await queue.enqueue(message, max_retries=0)
        await queue.wait_for_result(task_id, timeout=60)
        (letter,) = await queue.get_dlq_tasks()
        assert letter.keys() == {"task_id", "error", "retry_count", "failed_at", "task"}
        assert (letter["task_id"], letter["retry_count"], letter["task"]) == (task_id, 0, message)
        assert letter["error"] == "ConnectionError: the agent is gone"
        assert await queue.clear_dlq() == 1
        assert await queue.get_dlq_tasks() == []


async def test_a_queue_without_a_handler_takes_nothing_until_it_has_one():
    async with TaskQueue(max_workers=1) as queue:
        with pytest.raises(UnknownTaskType):
            await queue.enqueue("hello")
        queue.handle_with(lambda message: message.upper())
        assert (await queue.wait_for_result(await queue.enqueue("hello"), timeout=60)).result == "HELLO"


@pytest.mark.req("Q-11")
async def test_the_same_queue_on_a_disk_keeps_its_messages_over_a_restart(tmp_path):
    begun = asyncio.Event()

    async def hang(_):
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with AsyncTaskQueue(hang, max_workers=1, store=SqliteStore(tmp_path / "queue.db")) as queue:
        ids = [await queue.enqueue({"n": n}) for n in range(3)]
        await begun.wait()
        await queue.engine.shutdown(timeout=0)
    async with AsyncTaskQueue(lambda message: message["n"], store=SqliteStore(tmp_path / "queue.db")) as queue:
        assert [(await queue.wait_for_result(task_id, timeout=60)).result for task_id in ids] == [0, 1, 2]


@pytest.mark.req("Q-11")
async def test_a_redis_address_is_all_that_several_machines_need():
    pytest.importorskip("redis")
    queue = TaskQueue(redis_url="redis://127.0.0.1:1", max_workers=5, handler=print)
    with pytest.raises(TaskError):
        await queue.engine.start()


# The employee pool


@pytest.mark.req("POOL-01", "FLAW-W3")
async def test_employees_work_four_at_a_time_and_results_come_in_order():
    barrier = threading.Barrier(4, timeout=60)

    def work(number):
        barrier.wait()
        return number * number

    async with EmployeePool(max_workers=4) as pool:
        results = await pool.execute_parallel([lambda n=n: work(n) for n in range(12)])
    assert results == [n * n for n in range(12)]


@pytest.mark.req("POOL-01")
async def test_employees_never_work_more_than_four_at_a_time():
    running, peak = 0, 0

    async def work():
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1

    async with EmployeePool(max_workers=4) as pool:
        await pool.execute_parallel([work] * 200)
    assert peak == 4


@pytest.mark.req("POOL-01")
async def test_plain_and_coroutine_functions_may_be_mixed_and_those_that_block_run_in_threads():
    async def on_the_loop():
        return threading.current_thread().name

    def in_a_thread():
        return threading.current_thread().name

    async with EmployeePool() as pool:
        names = await pool.execute_parallel([on_the_loop, in_a_thread])
    assert names[0] == "MainThread"
    assert names[1].startswith("mynah-thread")


async def test_a_piece_that_only_looks_plain_is_awaited():
    async def double(number):
        return 2 * number

    async with EmployeePool() as pool:
        assert await pool.execute_parallel([lambda n=n: double(n) for n in range(3)]) == [0, 2, 4]


async def test_a_piece_that_fails_is_named_when_all_have_ended():
    ended = []

    def fail():
        raise LookupError("no such voice")

    async with EmployeePool() as pool:
        with pytest.raises(WorkFailed, match="piece 1 ended failed: LookupError: no such voice"):
            await pool.execute_parallel([lambda: ended.append(0), fail, lambda: ended.append(2)])
        assert sorted(ended) == [0, 2]
        (letter,) = await pool.engine.dead_letters()
        assert letter.retry_count == 0


async def test_no_piece_goes_on_when_one_is_refused():
    async def hang():
        await asyncio.get_running_loop().create_future()

    class Failing(MemoryStore):
        async def add(self, tasks):
            if self.counts.running:
                raise StoreUnavailable("the disk is full")
            ids = await super().add(tasks)
            await asyncio.sleep(0)
            return ids

    store = Failing()
    async with EmployeePool(store=store) as pool:
        with pytest.raises(StoreUnavailable):
            await pool.execute_parallel([hang, hang])
        assert store.counts.running == 0


async def test_pieces_whose_caller_has_gone_are_cancelled():
    begun, cancelled = asyncio.Event(), []

    async def hang():
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async with EmployeePool(max_workers=2) as pool:
        task = asyncio.create_task(pool.execute_parallel([hang] * 5))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pool.execute_parallel([lambda: "next"]) == ["next"]
    assert cancelled


@pytest.mark.req("FLAW-W3")
async def test_a_closed_pool_takes_no_work():
    async with EmployeePool() as pool:
        pass
    with pytest.raises(EngineStopped):
        await pool.execute_parallel([lambda: 1])


# Jobs


@pytest.mark.req("JOB-01")
async def test_a_job_is_submitted_to_the_manager_that_is_open():
    async with JobManager() as manager:
        manager.register_job("long_task", lambda config: config["pages"] * 2)
        assert get_job_manager() is manager
        job_id = await get_job_manager().submit_job("long_task", {"pages": 21}, timeout=3600)
        result = await manager.engine.wait_for_task(job_id, timeout=60)
        (entry,) = await manager.list_jobs()
    assert (result.status, result.result, entry.task.timeout) == (TaskStatus.COMPLETED, 42, 3600)
    with pytest.raises(RuntimeError, match="no job manager is open"):
        get_job_manager()


@pytest.mark.req("JOB-01")
async def test_a_job_really_times_out():
    may_end = threading.Event()
    async with JobManager() as manager:
        manager.register_job("endless", lambda _: may_end.wait())
        job_id = await manager.submit_job("endless", {}, timeout=0.05, max_retries=0)
        result = await manager.engine.wait_for_task(job_id, timeout=60)
        may_end.set()
    assert result.status is TaskStatus.TIMEOUT


@pytest.mark.req("JOB-02", "FLAW-W2")
async def test_jobs_are_listed_by_state_and_cancelled():
    begun = asyncio.Event()

    async def endless(_):
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with JobManager() as manager:
        manager.register_job("endless", endless)
        jobs = [await manager.submit_job("endless", {}, io_bound=False) for _ in range(3)]
        await begun.wait()
        assert [entry.task.id for entry in await manager.list_jobs("queued")] == [jobs[2]]
        assert {entry.task.id for entry in await manager.list_jobs("running")} == {jobs[0], jobs[1]}
        for job in jobs:
            assert await manager.cancel_job(job) == [job]
        assert {entry.task.id for entry in await manager.list_jobs("cancelled")} == set(jobs)
        assert await manager.cancel_job(jobs[0]) == []


@pytest.mark.req("JOB-02", "FLAW-W2")
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_jobs_survive_a_restart(kind, tmp_path):
    stores = {"memory": MemoryStore(), "sqlite": None}
    begun = asyncio.Event()

    async def hang(_):
        begun.set()
        await asyncio.get_running_loop().create_future()

    store = stores[kind] or SqliteStore(tmp_path / "jobs.db")
    async with JobManager(store) as manager:
        manager.register_job("report", hang)
        jobs = [await manager.submit_job("report", {"n": n}, io_bound=False) for n in range(4)]
        await begun.wait()
        await manager.engine.shutdown(timeout=0)
    store = stores[kind] or SqliteStore(tmp_path / "jobs.db")
    async with JobManager(store) as manager:
        manager.register_job("report", lambda config: config["n"])
        results = [await manager.engine.wait_for_task(job, timeout=60) for job in jobs]
    assert [result.result for result in results] == [0, 1, 2, 3]


@pytest.mark.req("JOB-02")
async def test_what_a_job_logs_can_be_read_by_its_id(tmp_path):
    log = logging.getLogger("reports")

    def report(config):
        log.warning("page %d", config["page"])
        return config["page"]

    async def outline(config):
        log.error("outline %d", config["page"])

    async with JobManager(logs=tmp_path / "logs") as manager:
        manager.register_job("report", report)
        manager.register_job("outline", outline)
        first, second = [await manager.submit_job("report", {"page": page}) for page in (1, 2)]
        third = await manager.submit_job("outline", {"page": 3}, io_bound=False)
        for job in (first, second, third):
            await manager.engine.wait_for_task(job, timeout=60)
        log.warning("outside of any job")
    for job, text in (
        (first, "reports - WARNING - page 1"),
        (second, "page 2"),
        (third, "reports - ERROR - outline 3"),
    ):
        (line,) = [line for line in (await manager.get_logs(job)).splitlines() if "reports" in line]
        assert line.endswith(text)
    assert len(list((tmp_path / "logs").iterdir())) == 3
    assert await manager.get_logs("0" * 32) == ""


@pytest.mark.req("JOB-02")
@pytest.mark.parametrize("job_id", ["nightly-report", "../../../escaped", "Bericht für 5 %", "x" * 300, "a/b", ".."])
async def test_a_job_with_an_id_of_its_own_has_a_log_as_any_other(tmp_path, job_id):
    logs = tmp_path / "there" / "logs"
    async with JobManager(logs=logs) as manager:
        manager.register_job("report", lambda config: logging.getLogger("reports").warning("page %s", config["page"]))
        jobs = [await manager.submit_job("report", {"page": 1}, id=job_id)]
        jobs += [await manager.submit_job("report", {"page": page}) for page in ("\ud800", 3)]
        for job in jobs:
            await manager.engine.wait_for_task(job, timeout=60)
    for job, page in zip(jobs, ("1", "\\ud800", "3"), strict=True):
        assert f"reports - WARNING - page {page}\n" in await manager.get_logs(job)
    assert await manager.get_logs(job_id + "x") == ""
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {logs}


@pytest.mark.req("JOB-02")
async def test_a_log_that_cannot_be_written_costs_no_other_job_its_log(tmp_path, capsys):
    def report(config):
        logging.getLogger("reports").warning("page %d", config["page"])

    async with JobManager(logs=tmp_path) as manager:
        manager.register_job("report", report)
        (tmp_path / "broken.log").mkdir()
        broken = await manager.submit_job("report", {"page": 1}, id="broken")
        await manager.engine.wait_for_task(broken, timeout=60)
        job = await manager.submit_job("report", {"page": 2})
        await manager.engine.wait_for_task(job, timeout=60)
    assert "page 2" in await manager.get_logs(job)
    assert "IsADirectoryError" in capsys.readouterr().err


async def test_logs_are_kept_for_a_month(tmp_path):
    now = time.time()
    for name, age in {"old": 31, "young": 29}.items():
        (tmp_path / f"{name}.log").write_text(name)
        os.utime(tmp_path / f"{name}.log", (now, now - age * 86_400))
    (tmp_path / "notes.txt").write_text("of somebody else")
    os.utime(tmp_path / "notes.txt", (0, 0))
    async with JobManager(logs=tmp_path) as manager:
        assert [await manager.get_logs(name) for name in ("old", "young")] == ["", "young"]
    assert (tmp_path / "notes.txt").exists()


async def test_a_manager_without_logs_has_none():
    assert await JobManager().get_logs("0" * 32) == ""


async def test_a_job_that_cannot_be_stored_is_refused(tmp_path):
    async with JobManager(SqliteStore(tmp_path / "jobs.db")) as manager:
        manager.register_job("report", print)
        with pytest.raises(NotStorable):
            await manager.submit_job("report", {"sink": object()})


# The voice cache


@pytest.mark.req("CAC-01", "FLAW-W7")
def test_two_processes_with_fifty_writers_each_tear_nothing(tmp_path):
    command = [sys.executable, cache_writer.__file__, tmp_path]
    writers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env={"PYTHONPATH": ":".join(sys.path)}) for _ in range(2)
    ]
    assert [writer.communicate()[0] for writer in writers] == [b"0", b"0"]
    cache = VoiceCache(tmp_path)
    for number in range(cache_writer.WRITES):
        assert len(cache.get(f"text {number}", "amy")) == 20_000


@pytest.mark.req("CAC-01")
async def test_a_voice_cache_tells_texts_and_voices_apart(tmp_path):
    cache = VoiceCache(tmp_path / "speech")
    await cache.put_async("hello", "amy", b"one")
    cache.put("hello", "joe", b"two")
    cache.put("y:hello", "am", b"three")
    cache.put("hello", "am:y", b"four")
    assert cache.get("y:hello", "am") == b"three"
    assert await cache.get_async("hello", "amy") == b"one"
    assert cache.get("hello", "joe") == b"two"
    assert cache.get("goodbye", "amy") is None


@pytest.mark.req("CAC-03")
def test_a_voice_cache_stays_within_its_limits(tmp_path):
    cache = VoiceCache(tmp_path, max_entries=16)
    for number in range(40):
        cache.put(f"text {number}", "amy", b"audio")
    assert sum(cache.get(f"text {number}", "amy") is not None for number in range(40)) == 16


@pytest.mark.req("Q-01", "FLAW-Z4")
async def test_a_queue_refuses_at_once_when_it_is_full():
    begun = asyncio.Event()

    async def hang(_):
        begun.set()
        await asyncio.get_running_loop().create_future()

    async with AsyncTaskQueue(hang, max_workers=1, queue_size=1) as queue:
        await queue.enqueue(1)
        await begun.wait()
        await queue.enqueue(2)
        with pytest.raises(QueueFull):
            await queue.enqueue(3)
        await queue.engine.shutdown(timeout=0)
