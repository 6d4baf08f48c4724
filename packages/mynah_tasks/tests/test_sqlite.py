"""What only a store in a file can promise: that it survives crashes and damage, and how it is asked."""

import asyncio
import math
import sqlite3
from pathlib import Path

import pytest

from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import NotStorable, StoreLocked, StoreUnavailable
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Outcome
from mynah_tasks.stores.file_lock import FileLock
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.stores.sqlite_file import LOG_SIZE
from mynah_tasks.task import Task
from mynah_tasks.tests.crash import as_after_a_crash


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "tasks.db"


def size_of_log(path: Path) -> int:
    return Path(f"{path}-wal").stat().st_size


async def commits(store: SqliteStore) -> list[str]:
    """The commits that the store makes from now on."""
    made: list[str] = []
    store._keeper._db.set_trace_callback(lambda statement: made.append(statement) if statement == "COMMIT" else None)
    return made


# Surviving


@pytest.mark.req("SHD-03", "FLAW-Z6", "P1")
async def test_what_was_accepted_is_there_after_a_crash(start, path) -> None:
    engine = await start(SqliteStore(path), max_workers=0)
    task = Task("echo", {"n": [1, None, "ü"]}, tags={"x"}, expires_at=2e9, idempotency_key="k", timeout=3.5)
    child = Task("echo", depends_on=[task.id])
    await engine.submit_all([task, child])
    again = await start(as_after_a_crash(path), max_workers=0)
    assert (await again.get_task(task.id)).task == task
    assert (await again.get_task(child.id)).task == child
    assert await again.submit(Task("echo", {"n": [1, None, "ü"]}, idempotency_key="k")) == task.id


@pytest.mark.req("SHD-03", "P1")
async def test_a_task_that_ran_when_its_process_died_runs_again_and_one_that_was_done_does_not(
    start, path, puppet
) -> None:
    engine = await start(SqliteStore(path))
    done = await engine.submit(Task("echo", "done"))
    await engine.wait_for_task(done)
    running = await engine.submit(Task("work"))
    assert (await puppet.next()).claim.attempt == 1
    again = await start(as_after_a_crash(path))
    act = await puppet.next()
    assert (act.claim.task.id, act.claim.attempt) == (running, 2)
    assert (await again.get_task(running)).state.error == "the process died during attempt 1"
    act.succeed()
    assert (await again.wait_for_task(running)).status is TaskStatus.COMPLETED
    assert (await again.wait_for_task(done)).attempts == 1


@pytest.mark.req("P2")
async def test_what_may_be_begun_only_once_is_not_begun_again_after_a_crash(start, path, puppet) -> None:
    engine = await start(SqliteStore(path))
    task_id = await engine.submit(Task("work", max_retries=0))
    child = await engine.submit(Task("echo", depends_on=[task_id]))
    await puppet.next()
    again = await start(as_after_a_crash(path))
    result = await again.get_task_result(task_id)
    assert (result.status, result.error) == ("failed", "the process died during attempt 1")
    assert await again.get_task_status(child) is TaskStatus.CANCELLED
    assert [letter.task_id for letter in await again.dead_letters()] == [task_id]
    assert len(puppet.acts) == 1


async def test_the_outcome_of_an_attempt_from_before_the_crash_is_refused(start, path, puppet) -> None:
    engine = await start(SqliteStore(path))
    await engine.submit(Task("work"))
    stale = (await puppet.next()).claim
    await engine.shutdown(0)
    again = await start(SqliteStore(path))
    act = await puppet.next()
    assert act.claim.token > stale.token
    await again._dispatcher._recorder.finish(stale, Outcome(TaskStatus.COMPLETED, "stale"))
    assert await again.get_task_status(stale.task.id) is TaskStatus.RUNNING
    act.succeed("fresh")
    assert (await again.wait_for_task(stale.task.id)).result == "fresh"


@pytest.mark.req("Q-05")
async def test_back_off_goes_on_after_a_crash_however_the_wall_clock_was_set(start, path, clock) -> None:
    engine = await start(SqliteStore(path))
    task_id = await engine.submit(Task("boom"))
    assert await clock.timer() == 2
    clock.jump(-1_000_000)
    again = await start(as_after_a_crash(path))
    assert (await again.get_task(task_id)).state.error == "ValueError: None"
    await clock.to_next_timer()
    assert clock.monotonic() == 1002.0


async def test_urgent_tasks_go_first_after_a_restart_too(start, path) -> None:
    engine = await start(SqliteStore(path), max_workers=0)
    tasks = [Task("note", n, priority) for n, priority in enumerate([3, 5, 1, 3, 1])]
    await engine.submit_all(tasks)
    await engine.shutdown()
    order = []
    async with TaskEngine(SqliteStore(path), max_workers=1) as engine:
        engine.register_processor("note", order.append)
        await engine.wait_for_task(tasks[1].id)
    assert order == [2, 4, 0, 3, 1]


# Committing


@pytest.mark.req("PERF-10")
async def test_many_submitters_share_a_commit(start, path) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=0)
    made = await commits(store)
    await asyncio.gather(*(engine.submit(Task("echo", n)) for n in range(500)))
    assert 1 <= len(made) < 20


@pytest.mark.req("PERF-10")
async def test_a_lone_task_is_accepted_and_begun_with_one_commit_and_ended_with_another(start, path, puppet) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=1)
    await engine.wait_for_task(await engine.submit(Task("echo")))
    await store.get("so that the worker is idle again")
    made = await commits(store)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    assert len(made) == 1
    act.succeed()
    await engine.wait_for_task(task_id)
    assert len(made) == 2


@pytest.mark.req("PERF-10")
async def test_the_log_has_its_size_from_the_beginning(start, path) -> None:
    engine = await start(SqliteStore(path), max_workers=0)
    assert size_of_log(path) == LOG_SIZE
    tasks = [await engine.submit(Task("echo", n)) for n in range(20)]
    assert size_of_log(path) == LOG_SIZE
    again = await start(as_after_a_crash(path), max_workers=0)
    assert [entry.task.id for entry in await again.list_tasks()] == tasks[::-1]


async def test_looking_writes_nothing(start, path) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=0)
    task_id = await engine.submit(Task("echo"))
    made = await commits(store)
    await engine.get_task(task_id)
    await engine.list_tasks()
    await engine.dead_letters()
    assert made == []


@pytest.mark.req("PERF-11", "FLAW-A6")
async def test_no_statement_looks_at_ended_tasks_that_it_does_not_give(start, path) -> None:
    store = SqliteStore(path)
    engine = await start(store)
    statements: set[str] = set()
    store._keeper._db.set_trace_callback(statements.add)
    parent = await engine.submit(Task("echo", tags={"t"}, idempotency_key="k"))
    await engine.wait_for_task(await engine.submit(Task("echo", depends_on=[parent])))
    dead = await engine.submit(Task("boom", max_retries=0))
    await engine.wait_for_task(dead)
    for query in ({}, {"tag": "t"}, {"status": TaskStatus.COMPLETED}, {"tag": "t", "status": TaskStatus.FAILED}):
        await engine.list_tasks(**query, before=dead)
    await engine.dead_letters(before=dead)
    await engine.replay(dead)
    await engine.clear_dead_letters()
    await engine.shutdown()
    with sqlite3.connect(path) as db:
        asked = sorted(
            each for each in statements if each.lstrip().startswith(("SELECT", "UPDATE", "DELETE", "INSERT"))
        )
        plans = {each: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {each}")] for each in asked}
    db.close()
    assert len(plans) > 15
    sorting = [each for each, plan in plans.items() if any("TEMP B-TREE" in step for step in plan)]
    scanning = [
        each for each, plan in plans.items() if any(step in ("SCAN task", "SCAN state", "SCAN tag") for step in plan)
    ]
    assert sorting == []
    assert [each for each in scanning if "ORDER BY state.seq DESC LIMIT" not in each] == []


# Forgetting


@pytest.mark.req("FLAW-A6", "FLAW-Z5")
async def test_so_many_ended_tasks_are_kept_and_the_oldest_go(start, path) -> None:
    engine = await start(SqliteStore(path, keep=10))
    ids = []
    for n in range(40):
        ids.append(await engine.submit(Task("echo", n, tags={"t"})))
        await engine.wait_for_task(ids[-1])
    assert [entry.task.id for entry in await engine.list_tasks()] == ids[:-11:-1]
    assert [entry.task.id for entry in await engine.list_tasks(tag="t")] == ids[:-11:-1]


async def test_ended_tasks_are_kept_for_so_long(start, path, clock) -> None:
    engine = await start(SqliteStore(path, keep_for=100))
    old = await engine.submit(Task("echo"))
    await engine.wait_for_task(old)
    clock.advance(101)
    new = await engine.submit(Task("echo"))
    await engine.wait_for_task(new)
    assert [entry.task.id for entry in await engine.list_tasks()] == [new]


async def test_dead_letters_beyond_the_limit_go_loudly(start, path, caplog) -> None:
    engine = await start(SqliteStore(path, keep=3))
    for n in range(5):
        await engine.wait_for_task(await engine.submit(Task("boom", n, max_retries=0)))
    assert [letter.task for letter in await engine.dead_letters()] == [4, 3, 2]
    assert engine.queue_metrics()["dead_letter_queue_size"] == 3
    assert caplog.text.count("1 dead letters are forgotten: there are more than 3") == 2


async def test_a_task_may_depend_on_one_that_was_forgotten_since(start, path, puppet) -> None:
    engine = await start(SqliteStore(path, keep=1), max_workers=2)
    parent, other = Task("echo"), Task("work")
    child = Task("echo", depends_on=[parent.id, other.id])
    await engine.submit_all([parent, other, child])
    act = await puppet.next()
    for _ in range(3):
        await engine.wait_for_task(await engine.submit(Task("echo")))
    assert await engine._store.get(parent.id) is None
    again = await start(as_after_a_crash(path))
    await puppet.next()
    puppet.acts[-1].succeed()
    assert (await again.wait_for_task(child.id)).status is TaskStatus.COMPLETED
    act.succeed()


# Refusing


@pytest.mark.req("ENG-15")
@pytest.mark.parametrize(
    "payload",
    [
        {"processor": print},
        {1, 2},
        b"bytes",
        2**70,
        "\ud800",
        {1: "a number as a key"},
        [math.sqrt],
        math.nan,
        {"null": None, "deep": [{"inside": (1.0, -math.inf)}]},
    ],
)
async def test_a_payload_that_is_not_json_is_refused(start, path, payload) -> None:
    engine = await start(SqliteStore(path))
    with pytest.raises(NotStorable):
        await engine.submit(Task("echo", payload))
    with pytest.raises(NotStorable):
        await engine.submit_all([Task("echo"), Task("echo", payload)])
    assert await engine.list_tasks() == []


@pytest.mark.req("ENG-15")
async def test_a_task_that_is_not_durable_is_refused(start, path) -> None:
    engine = await start(SqliteStore(path))
    with pytest.raises(NotStorable, match="not durable"):
        await engine.submit(Task("echo", durable=False))


@pytest.mark.req("ENG-15")
async def test_a_payload_is_given_out_as_it_was_stored(start, path, puppet) -> None:
    engine = await start(SqliteStore(path))
    payload = {"numbers": (1, 2), "none": [None, "null"]}
    await engine.submit(Task("work", payload))
    payload["changed"] = "afterwards"
    assert (await puppet.next()).payload == {"numbers": [1, 2], "none": [None, "null"]}


@pytest.mark.parametrize("result", [object(), [math.inf]])
async def test_a_result_that_is_not_json_is_a_failure(start, path, result) -> None:
    engine = await start(SqliteStore(path))
    engine.register_processor("socket", lambda _: result)
    result = await engine.wait_for_task(await engine.submit(Task("socket", max_retries=0)))
    assert result.status is TaskStatus.FAILED
    assert "it is not JSON" in result.error


async def test_an_error_text_that_is_no_unicode_is_stored_all_the_same(start, path, puppet) -> None:
    engine = await start(SqliteStore(path))
    task_id = await engine.submit(Task("work", max_retries=0))
    (await puppet.next()).fail(ValueError("\ud800 and \0"))
    await engine.wait_for_task(task_id)
    assert [letter.error for letter in await engine.dead_letters()] == ["ValueError: ? and \0"]


async def test_one_process_at_a_time_has_the_file_open(start, path) -> None:
    await start(SqliteStore(path))
    with pytest.raises(StoreLocked, match="another process has the task store"):
        await start(SqliteStore(path))


async def test_a_store_that_somebody_is_about_to_make_is_left_to_them(start, path) -> None:
    path.touch()
    theirs = FileLock(path)
    with pytest.raises(StoreLocked, match="another process has the task store"):
        await start(SqliteStore(path))
    theirs.release()
    assert path.exists()
    assert [each.name for each in path.parent.glob("*damaged*")] == []


async def test_a_store_whose_making_was_cut_off_is_made(start, path) -> None:
    path.touch()  # what kill -9 leaves before the first write
    engine = await start(SqliteStore(path))
    assert engine.health()["status"] == "healthy"
    assert [each.name for each in path.parent.glob("*damaged*")] == []
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1


async def test_a_file_from_the_future_is_refused_and_left_alone(start, path) -> None:
    async with TaskEngine(SqliteStore(path)):
        pass
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreUnavailable, match="newer version"):
        await start(SqliteStore(path))
    assert [each.name for each in path.parent.glob("*damaged*")] == []


async def test_a_file_of_version_1_goes_on_and_is_of_version_2(start, path) -> None:
    async with TaskEngine(SqliteStore(path), max_workers=0) as engine:
        waiting = await engine.submit(Task("echo", 1))
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO state VALUES (1, 1, 'pending', 0, 0, 0, NULL, NULL, NULL, NULL, 0.0, NULL, 0)")
        db.execute("PRAGMA user_version = 1")
    db.close()
    engine = await start(SqliteStore(path))
    assert (await engine.wait_for_task(waiting)).result == 1
    await engine.shutdown()
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


async def test_somebody_elses_database_is_refused_and_left_alone(start, path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
    db.close()
    with pytest.raises(StoreUnavailable, match="not a task store"):
        await start(SqliteStore(path))
    assert [each.name for each in path.parent.glob("*damaged*")] == []


@pytest.mark.parametrize("folder", ["/proc/no", "/dev/null/no"])
async def test_where_nothing_can_be_written_no_store_is_opened(start, folder) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        await start(SqliteStore(f"{folder}/tasks.db"))


# Damage


def truncate(data: bytes) -> bytes:
    return data[: len(data) // 2]


def garble_the_header(data: bytes) -> bytes:
    return b"garbage!" * 8 + data[64:]


def garble_the_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + b"\xff" * 8192 + data[middle + 8192 :]


def empty(_: bytes) -> bytes:
    return b""


def replace(data: bytes) -> bytes:
    return bytes(range(256)) * (len(data) // 256)


@pytest.mark.parametrize("damage", [truncate, garble_the_header, garble_the_middle, empty, replace])
async def test_a_damaged_file_is_moved_aside_loudly_and_an_empty_one_begun(start, path, damage, caplog) -> None:
    async with TaskEngine(SqliteStore(path)) as engine:
        engine.register_processor("echo", str)
        await engine.submit_all([Task("echo", "x" * 100) for _ in range(500)])
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    engine = await start(SqliteStore(path))
    assert "is damaged" in caplog.text
    assert (path.parent / "tasks.db.damaged-1").read_bytes() == damaged
    assert engine.health() == {"status": "degraded", "reason": "store_quarantined"}
    assert await engine.list_tasks() == []
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1


async def test_a_second_damaged_file_does_not_replace_the_first(start, path) -> None:
    for _ in range(2):
        path.write_bytes(b"garbage")
        engine = await start(SqliteStore(path))
        await engine.shutdown()
        path.unlink()
    assert sorted(each.name for each in path.parent.glob("*damaged*")) == ["tasks.db.damaged-1", "tasks.db.damaged-2"]


async def test_a_single_damaged_record_becomes_a_dead_letter(start, path, caplog) -> None:
    engine = await start(SqliteStore(path), max_workers=0)
    damaged, sound = await engine.submit_all([Task("echo"), Task("echo", 1)])
    await engine.shutdown()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE task SET spec = x'00' WHERE id = ?", [damaged])
    db.close()
    engine = await start(SqliteStore(path))
    assert (await engine.wait_for_task(sound)).result == 1
    assert (await engine.wait_for_task(damaged)).status is TaskStatus.FAILED
    assert [letter.task_id for letter in await engine.dead_letters()] == [damaged]
    assert f"what was stored of task {damaged} is damaged" in caplog.text
