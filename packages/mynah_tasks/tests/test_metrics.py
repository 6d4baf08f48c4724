"""What the engine says about itself."""

import json
import logging
import threading

import pytest

from mynah_resilience.events import EventBus
from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.health import judge
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task
from mynah_tasks.tests import deeds


@pytest.mark.req("Q-12", "MET-02")
async def test_the_queue_view_has_exactly_the_ten_names(start, store) -> None:
    engine = await start(store, max_workers=5)
    assert json.loads(json.dumps(engine.queue_metrics())) == {
        "tasks_enqueued": 0,
        "tasks_completed": 0,
        "tasks_failed": 0,
        "tasks_timeout": 0,
        "total_processing_time": 0.0,
        "queue_size": 0,
        "avg_processing_time": 0.0,
        "success_rate": 1.0,
        "dead_letter_queue_size": 0,
        "active_workers": 5,
    }


@pytest.mark.req("MET-01", "ENG-19", "FLAW-A8")
async def test_the_processor_view_has_exactly_the_nine_names(start, store) -> None:
    engine = await start(store, max_workers=2)
    shown = json.loads(json.dumps(engine.get_performance_metrics()))
    assert shown.pop("peak_memory_usage_mb") > 1
    assert shown == {
        "tasks_processed": 0,
        "success_rate": 100.0,
        "average_execution_time": 0.0,
        "current_throughput": 0.0,
        "queue_size": 0,
        "running_tasks": 0,
        "worker_stats": {
            "worker-1": {"tasks_processed": 0, "total_execution_time": 0.0, "status": "idle"},
            "worker-2": {"tasks_processed": 0, "total_execution_time": 0.0, "status": "idle"},
        },
        "uptime_seconds": 0.0,
    }


@pytest.mark.req("MET-01", "MET-02", "ENG-19")
async def test_a_scripted_run_gives_the_right_numbers_in_both_views(start, store, clock, puppet) -> None:
    engine = await start(store, max_workers=1)
    done = await engine.submit(Task("work"))
    act = await puppet.next()
    waiting = await engine.submit(Task("work", max_retries=0))
    assert engine.get_performance_metrics()["running_tasks"] == 1
    assert engine.queue_metrics()["queue_size"] == 1
    clock.advance(4)
    act.succeed()
    await engine.wait_for_task(done)
    act = await puppet.next()
    clock.advance(6)
    act.fail(ValueError("no"))
    await engine.wait_for_task(waiting)

    processor, queue = engine.get_performance_metrics(), engine.queue_metrics()
    assert processor["tasks_processed"] == 2
    assert processor["success_rate"] == 50.0
    assert processor["average_execution_time"] == 4.0
    assert processor["current_throughput"] == pytest.approx(0.2)
    assert processor["uptime_seconds"] == 10.0
    worker = processor["worker_stats"]["worker-1"]
    assert worker["tasks_processed"] == 2
    assert worker["total_execution_time"] / processor["uptime_seconds"] == 1.0
    assert queue == {
        "tasks_enqueued": 2,
        "tasks_completed": 1,
        "tasks_failed": 1,
        "tasks_timeout": 0,
        "total_processing_time": 4.0,
        "queue_size": 0,
        "avg_processing_time": 4.0,
        "success_rate": 0.5,
        "dead_letter_queue_size": 1,
        "active_workers": 1,
    }


async def test_waiting_and_cancelled_tasks_are_no_failures(start, store, puppet) -> None:
    engine = await start(store)
    running = await engine.submit(Task("work"))
    await puppet.next()
    await engine.cancel_task(running)
    await engine.submit(Task("work"))
    assert engine.queue_metrics()["success_rate"] == 1.0
    assert engine.health()["status"] == "healthy"


async def test_throughput_is_that_of_the_last_minute(start, clock) -> None:
    engine = await start()
    for _ in range(30):
        await engine.wait_for_task(await engine.submit(Task("echo")))
    clock.advance(60)
    assert engine.get_performance_metrics()["current_throughput"] <= 0.5
    clock.advance(61)
    assert engine.get_performance_metrics()["current_throughput"] == 0.0


async def test_without_monitoring_nothing_is_counted(start) -> None:
    engine = await start(enable_monitoring=False)
    await engine.wait_for_task(await engine.submit(Task("echo")))
    assert engine.get_performance_metrics()["tasks_processed"] == 0


@pytest.mark.req("MET-06", "GW-10")
@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ({"is_running": False}, "unhealthy", "processor_stopped"),
        ({"queue_size": 1000, "capacity": 10_000}, "healthy", None),
        ({"queue_size": 1001, "capacity": 10_000}, "degraded", "high_queue_size"),
        ({"queue_size": 800, "capacity": 1000}, "healthy", None),
        ({"queue_size": 801, "capacity": 1000}, "degraded", "high_queue_size"),
        ({"recent_success_rate": 0.95}, "healthy", None),
        ({"recent_success_rate": 0.949}, "degraded", "low_success_rate"),
        ({"trouble": "store_unavailable"}, "degraded", "store_unavailable"),
    ],
)
def test_the_health_rule(state: dict, status: str, reason: str | None) -> None:
    healthy = {"is_running": True, "queue_size": 0, "capacity": 1000, "recent_success_rate": 1.0}
    verdict = judge(**(healthy | state))
    assert (verdict.status, verdict.reason) == (status, reason)


@pytest.mark.req("MET-06")
async def test_an_idle_fresh_engine_is_healthy_and_a_stopped_one_is_not(start, store) -> None:
    engine = await start(store)
    health = engine.health()
    assert health["status"] == "healthy"
    assert health["metrics"].keys() == engine.get_performance_metrics().keys()
    await engine.shutdown()
    assert engine.health() == {"status": "unhealthy", "reason": "processor_stopped"}


@pytest.mark.req("MET-06", "ENG-13")
async def test_a_hung_thread_and_a_killed_process_are_to_be_seen(start) -> None:
    engine = await start(executors=Executors(grace=0.1))
    may_go_on = threading.Event()
    engine.register_processor("wait", lambda _: may_go_on.wait(), kind=ExecutorKind.THREAD)
    engine.register_processor("hang", deeds.hang_without_gil, kind=ExecutorKind.PROCESS)
    for name in ("wait", "hang"):
        await engine.wait_for_task(await engine.submit(Task(name, timeout=0.05, max_retries=0)))
    try:
        load = engine.load()
        assert (len(load.threads_hung), load.threads_busy, load.processes_replaced) == (1, 1, 1)
        assert engine.health() == {"status": "degraded", "reason": "threads_hung"}
    finally:
        may_go_on.set()


@pytest.mark.req("MET-06")
async def test_health_is_judged_over_the_last_hundred_tasks(start) -> None:
    engine = await start()
    for _ in range(6):
        await engine.wait_for_task(await engine.submit(Task("boom", max_retries=0)))
    assert engine.health() == {"status": "degraded", "reason": "low_success_rate"}
    for _ in range(95):
        await engine.wait_for_task(await engine.submit(Task("echo")))
    assert engine.health()["status"] == "healthy"


@pytest.mark.req("ENG-18")
async def test_profiling_shows_what_each_attempt_cost_by_tag(start, store, clock, puppet, tmp_path) -> None:
    engine = await start(store, max_workers=1, enable_profiling=True)
    ids = await engine.submit_all([Task("work", tags={"voice", "child"}), Task("work", tags={"voice"}), Task("echo")])
    for _ in range(2):
        act = await puppet.next()
        clock.advance(3)
        act.succeed()
    await engine.wait_for_task(ids[-1])
    first, second = engine.profiler.attempts(tag="voice")
    assert (first.task_id, first.attempt, first.worker, first.kind, first.ended, first.took) == (
        ids[0],
        1,
        "worker-1",
        "inline",
        "completed",
        3.0,
    )
    assert second.waited == 3.0
    uses = engine.profiler.by_tag()
    assert (uses["voice"].attempts, uses["voice"].took, uses["child"].attempts, uses[""].attempts) == (2, 6.0, 1, 1)
    engine.profiler.dump(tmp_path / "profile.json")
    dumped = json.loads((tmp_path / "profile.json").read_text())
    assert [row["task_id"] for row in dumped["attempts"]] == ids
    assert dumped["tags"]["voice"]["completed"] == 2


async def test_without_profiling_there_is_no_profile(start) -> None:
    assert (await start()).profiler is None


@pytest.mark.req("Q-13")
@pytest.mark.parametrize(("make", "name"), [(lambda _: MemoryStore(), "in-memory"), (SqliteStore, "SQLite")])
async def test_the_log_tells_the_life_of_a_task(start, caplog, tmp_path, make, name, clock, puppet) -> None:
    caplog.set_level(logging.INFO, "mynah_tasks")
    async with EventBus() as events:
        engine = await start(make(tmp_path / "tasks.db"), max_workers=5, events=events)
        task_id = await engine.submit(Task("work"))
        act = await puppet.next()
        clock.advance(1.5)
        act.succeed()
        await engine.wait_for_task(task_id)
        await engine.shutdown()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == f"Async task queue started (5 workers, {name})"
    assert f"task {task_id} enqueued (queue size " in " ".join(lines)
    assert f"worker-1 started task {task_id} (attempt 1)" in lines
    assert f"task {task_id} completed in 1.50 s" in lines
    assert f"result of task {task_id} published" in lines


@pytest.mark.req("Q-09", "MET-03")
async def test_outcomes_are_published_as_events(start, store, clock) -> None:
    async with EventBus() as events:
        engine = await start(store, events=events)
        done = await engine.submit(Task("echo", 1))
        await engine.wait_for_task(done)
        failed = await engine.submit(Task("boom", "no", max_retries=0))
        await engine.wait_for_task(failed)
        child = Task("echo", depends_on=[failed])
        await engine.submit(child)
        await engine.shutdown()
        published = [(event.name, event.data.task_id, event.data.status) for event in events.history]
    assert published == [
        ("task_completed", done, TaskStatus.COMPLETED),
        ("task_failed", failed, TaskStatus.FAILED),
        ("task_cancelled", child.id, TaskStatus.CANCELLED),
    ]


async def test_a_publisher_that_fails_harms_nobody(start, caplog) -> None:
    class Broken:
        async def publish(self, event, data=None):
            raise OSError("no bus")

    engine = await start(events=Broken())
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    await engine.shutdown()
    assert "an event could not be published" in caplog.text
