"""What a store in a file does when the disk is full, fails or takes its time, and when a step goes wrong."""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NoReturn

import pytest

from mynah_tasks.errors import EngineStopped, StoreUnavailable, UnknownTask
from mynah_tasks.facades.facade import Unheard
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Counts, Outcome, Rules, sqlite_file
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task, TaskResult
from mynah_tasks.tests.crash import as_after_a_crash


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "tasks.db"


class Disk:
    """Under the files that are opened by `connect`: it can be full, fail, or take its time."""

    def __init__(self) -> None:
        self.is_dead = False
        self._room = 1_000_000
        self._files: list[sqlite3.Connection] = []

    def connect(self, path: Path) -> sqlite3.Connection:
        self.check()
        self._files.append(sqlite_file.connect(path))
        self._limit(self._files[-1])
        return File(self._files[-1], self)

    def check(self) -> None:
        if self.is_dead:
            raise sqlite3.OperationalError("disk I/O error")

    def commit(self, file: sqlite3.Connection) -> None:
        """How a commit goes; put something else in its place."""
        file.execute("COMMIT")

    def fill(self) -> None:
        """Let no file grow any more."""
        self._room = 1
        self._limit(self._files[-1])

    def free(self) -> None:
        self._room = 1_000_000
        self._limit(self._files[-1])

    def _limit(self, file: sqlite3.Connection) -> None:
        file.execute(f"PRAGMA max_page_count = {self._room}")


class File:
    """A connection to a file on such a disk."""

    def __init__(self, file: sqlite3.Connection, disk: Disk) -> None:
        self._file = file
        self._disk = disk

    def execute(self, statement: str, *values: object) -> sqlite3.Cursor | None:
        self._disk.check()
        return self._disk.commit(self._file) if statement == "COMMIT" else self._file.execute(statement, *values)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


@pytest.fixture
def disk() -> Disk:
    return Disk()


LARGE = "x" * 50_000


async def test_on_a_full_disk_nothing_is_accepted_and_everything_works_again_afterwards(
    start, path, puppet, disk
) -> None:
    store = SqliteStore(path, connect=disk.connect)
    engine = await start(store, max_workers=1)
    running, waiting = await engine.submit_all([Task("work"), Task("echo", "waits")])
    act = await puppet.next()
    disk.fill()
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="full"):
            await engine.submit(Task("echo", LARGE))
    assert engine.health() == {"status": "degraded", "reason": "store_unavailable"}
    disk.free()
    accepted = await engine.submit(Task("echo", LARGE))
    assert engine.health()["status"] == "healthy"
    act.succeed("kept")
    assert (await engine.wait_for_task(running)).result == "kept"
    assert (await engine.wait_for_task(waiting)).result == "waits"
    assert (await engine.wait_for_task(accepted)).result == LARGE
    assert len(await engine.list_tasks()) == 3
    assert store.counts == Counts()


async def test_a_result_that_does_not_fit_on_the_disk_is_stored_when_it_does(start, path, clock, puppet, disk) -> None:
    store = SqliteStore(path, connect=disk.connect)
    engine = await start(store, max_workers=1)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()
    disk.fill()
    act.succeed(LARGE)
    await clock.timer()
    disk.free()
    await clock.to_next_timer()
    assert (await engine.wait_for_task(task_id)).result == LARGE
    assert len(puppet.acts) == 1


async def test_a_worker_who_was_to_have_what_could_not_be_written_down_gets_the_next_task(start, path, disk) -> None:
    store = SqliteStore(path, connect=disk.connect)
    engine = await start(store, max_workers=1)
    for _ in range(2):  # during the first the worker asks
        await engine.list_tasks()
    disk.fill()
    with pytest.raises(StoreUnavailable, match="full"):
        await engine.submit(Task("echo", LARGE))
    disk.free()
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1


async def test_who_waits_for_an_outcome_while_the_disk_fails_gets_it_afterwards(
    start, path, clock, puppet, disk
) -> None:
    engine = await start(SqliteStore(path, connect=disk.connect), max_workers=1)
    running = await engine.submit(Task("work"))
    act = await puppet.next()
    disk.is_dead = True
    with pytest.raises(StoreUnavailable):
        await engine.submit(Task("echo"))
    patient = asyncio.create_task(engine.wait_for_task(running))
    mistaken = asyncio.create_task(engine.wait_for_task("nobody"))
    for _ in range(2):  # during the first the two others ask
        with pytest.raises(StoreUnavailable):
            await engine.get_task(running)
    disk.is_dead = False
    act.succeed("at last")
    clock.advance(1)
    assert (await patient).result == "at last"
    with pytest.raises(UnknownTask):
        await mistaken


async def test_a_commit_that_fails_during_the_shutdown_does_not_hold_it_up(start, path, disk) -> None:
    engine = await start(SqliteStore(path, connect=disk.connect), max_workers=1)
    for _ in range(2):  # during the first the worker asks
        await engine.list_tasks()
    writing, may_fail = threading.Event(), threading.Event()

    def wait_and_fail(_: sqlite3.Connection) -> None:
        writing.set()
        may_fail.wait()
        disk.is_dead = True
        disk.check()

    disk.commit = wait_and_fail
    submitting = asyncio.create_task(engine.submit(Task("echo")))
    await asyncio.to_thread(writing.wait)
    engine._dispatcher.halt()
    may_fail.set()
    with pytest.raises(StoreUnavailable):
        await submitting
    await engine.shutdown()


@pytest.mark.req("P2")
async def test_what_is_claimed_while_the_store_closes_was_never_claimed(path, clock) -> None:
    claiming, may_go_on = threading.Event(), threading.Event()

    def has_memory() -> bool:
        claiming.set()
        return may_go_on.wait()

    store = SqliteStore(path)
    store.attach(Unheard(), Rules(), clock)
    await store.__aenter__()
    claim = asyncio.create_task(store.claim(1, has_memory))
    for _ in range(2):  # during the first the claim is made
        await store.get("nobody")
    task = Task("work", max_retries=0, memory_intensive=True)
    adding = asyncio.create_task(store.add([task]))
    await asyncio.to_thread(claiming.wait)
    closing = asyncio.create_task(store.__aexit__(None, None, None))
    assert await claim == []
    may_go_on.set()
    assert await adding == [task.id]
    await closing
    async with store:
        assert (await store.get(task.id)).state == TaskResult(task.id, TaskStatus.PENDING, created_at=clock.wall())


async def test_a_store_whose_closing_was_given_up_closes_once_the_disk_goes_on(path, clock, disk) -> None:
    mishaps: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    may_go_on = threading.Event()

    def wait_and_commit(file: sqlite3.Connection) -> None:
        may_go_on.wait()
        file.execute("COMMIT")

    store = SqliteStore(path, connect=disk.connect)
    store.attach(Unheard(), Rules(), clock)
    await store.__aenter__()
    (first,) = await store.add([Task("echo")])
    waiting = asyncio.create_task(store.wait(first))
    await asyncio.sleep(0)
    await store.get(first)
    disk.commit = wait_and_commit
    adding = asyncio.create_task(store.add([Task("echo")]))
    closing = asyncio.create_task(store.__aexit__(None, None, None))
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    with pytest.raises(EngineStopped):
        await waiting
    may_go_on.set()
    (task_id,) = await adding
    await store._ended
    async with store:
        assert (await store.get(task_id)).state.status is TaskStatus.PENDING
    assert mishaps == []


async def test_who_asks_in_the_moment_before_the_halt_gets_nothing(path, clock) -> None:
    store = SqliteStore(path)
    store.attach(Unheard(), Rules(), clock)
    async with store:
        await store.add([Task("echo")])
        (claims,) = await in_one_group(store, store.claim(1, lambda: True), then=store.halt)
        assert claims == []
        assert store.counts == Counts(pending=1)


async def test_a_commit_that_failed_only_in_its_last_step_counts(start, path, disk) -> None:
    store = SqliteStore(path, connect=disk.connect)
    engine = await start(store, max_workers=0)

    def commit_and_fail(file: sqlite3.Connection) -> None:
        file.execute("COMMIT")
        del disk.commit
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
        raise error

    disk.commit = commit_and_fail
    task_id = await engine.submit(Task("echo"))
    assert [entry.task.id for entry in await engine.list_tasks()] == [task_id]
    assert store.counts == Counts(pending=1)
    assert engine.health()["status"] == "healthy"


async def test_a_claim_that_nobody_was_told_of_is_not_lost(start, path, puppet) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=1)
    task_id = await engine.submit(Task("work"))
    act = await puppet.next()

    def forget_who_holds_what_and_fail(*_: object) -> None:
        store._keeper._held.clear()
        raise sqlite3.OperationalError("disk I/O error")

    with pytest.raises(StoreUnavailable):
        await store._run(forget_who_holds_what_and_fail)
    entry = await engine.get_task(task_id)
    assert (entry.state.status, entry.state.attempts) == (TaskStatus.PENDING, 0)
    act.succeed("of an attempt that the file knows nothing of")
    again = await puppet.next()
    assert (again.claim.attempt, again.claim.token > act.claim.token) == (1, True)
    again.succeed("right")
    assert (await engine.wait_for_task(task_id)).result == "right"


async def test_a_bug_in_a_step_is_told_to_whoever_asked_and_the_book_is_read_again(start, path) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=0)
    await engine.submit(Task("echo", id="a"))
    with pytest.raises(AttributeError):
        await store.finish(None, Outcome(TaskStatus.COMPLETED))
    assert await engine.cancel_task("a") == ["a"]


async def in_one_group(
    store: SqliteStore, *calls: Awaitable[object], then: Callable[[], None] | None = None
) -> list[object]:
    """What comes of calls that the store takes in one go: they all come while it is busy, as does what is done then."""
    is_busy, may_go_on = threading.Event(), threading.Event()
    busy = asyncio.ensure_future(store._run(lambda *_: is_busy.set() or may_go_on.wait()))
    await asyncio.to_thread(is_busy.wait)
    calls = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    if then:
        then()
    may_go_on.set()
    await busy
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("mistake", [AttributeError("a bug"), sqlite3.ProgrammingError("a bug")])
async def test_a_bug_in_a_step_is_told_to_nobody_else(start, path, mistake) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=0)

    def fail(*_: object) -> NoReturn:
        raise mistake

    tasks = [Task("echo", n) for n in range(6)]
    answers = await in_one_group(
        store, *map(engine.submit, tasks[:3]), store._run(fail), *map(engine.submit, tasks[3:]), engine.get_task("a")
    )
    assert answers[:3] + answers[4:7] == [task.id for task in tasks]
    assert answers[3] is mistake
    assert isinstance(answers[7], UnknownTask)
    assert [entry.task for entry in await engine.list_tasks()] == tasks[::-1]
    assert engine.health()["status"] == "healthy"


async def test_what_is_written_of_a_task_and_of_its_result_is_told_apart(start, path, puppet) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=1)
    task = Task("work", {"in": 1}, idempotency_key="k")
    await engine.submit(task)
    claim = (await puppet.next()).claim
    _, again, late = await in_one_group(
        store,
        store.finish(claim, Outcome(TaskStatus.COMPLETED, {"out": 2})),
        engine.submit(task),
        store.finish(claim, Outcome(TaskStatus.COMPLETED, {"out": 3})),
    )
    assert (again, late) == (task.id, None)
    assert (await engine.get_task(task.id)).state.result == {"out": 2}


async def test_of_two_that_are_handed_in_as_one_the_first_is_written_down(start, path) -> None:
    store = SqliteStore(path)
    engine = await start(store, max_workers=0)
    first, second = [Task("echo", {}, priority, id="a", idempotency_key="k") for priority in (1, 5)]
    assert await in_one_group(store, engine.submit(first), engine.submit(second)) == ["a", "a"]
    again = await start(as_after_a_crash(path), max_workers=0)
    assert (await again.get_task("a")).task == first
