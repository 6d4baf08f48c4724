"""Tasks that are written down before they count as accepted: how many a second, and how long one alone takes."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from huey import SqliteHuey
from streaq import Worker

from mynah_tasks.engine import TaskEngine
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task
from tasks_peers.noop import Stopwatch

SUBMITTERS: Final = 64
PAYLOAD: Final = {"user_id": "u1", "message": "turn on the light in the kitchen", "context": "a" * 100}


def engine(path: Path, count: int) -> TaskEngine:
    """One that accepts and does not begin: what is measured is the accepting."""
    return TaskEngine(SqliteStore(path), max_workers=0, queue_size=count)


async def by_many(submit: Callable[[], Awaitable[object]], count: int) -> tuple[float, float]:
    """So many tasks, each submitter with one under way."""

    async def go_on() -> None:
        for _ in range(count // SUBMITTERS):
            await submit()

    stopwatch = Stopwatch(count // SUBMITTERS * SUBMITTERS)
    async with asyncio.TaskGroup() as group:
        for _ in range(SUBMITTERS):
            group.create_task(go_on())
    return stopwatch.read()


async def ours(path: Path, count: int) -> tuple[float, float]:
    """The task engine on SQLite."""
    async with engine(path, count) as accepting:
        return await by_many(lambda: accepting.submit(Task("chat", PAYLOAD)), count)


async def streaq(url: str, count: int) -> tuple[float, float]:
    """StreaQ on Redis, which syncs its file once a second."""
    async with Worker(redis_url=url) as worker:
        return await by_many(lambda: worker.enqueue_unsafe("chat", PAYLOAD).start(), count)


def huey(path: Path, count: int) -> tuple[float, float]:
    """Huey on SQLite with every commit synced; its calls block, so one after the other."""
    queue = SqliteHuey("bench", filename=str(path), fsync=True)

    @queue.task()  # type: ignore[untyped-decorator]  # huey has no types
    def chat(payload: object) -> None:
        """Not called here."""

    stopwatch = Stopwatch(count)
    for _ in range(count):
        chat(PAYLOAD)
    took = stopwatch.read()
    queue.storage.close()
    return took


class Raw:
    """SQLite itself: a table, a synced write-ahead log, and one statement a task."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute("CREATE TABLE task (id TEXT PRIMARY KEY, spec TEXT NOT NULL) STRICT")
        self._number = 0

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def commit(self, tasks: int = 1) -> None:
        """So many in one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        for _ in range(tasks):
            self._number += 1
            self._db.execute("INSERT INTO task VALUES (?, ?)", (f"{self._number:032}", str(PAYLOAD)))
        self._db.execute("COMMIT")


def raw(path: Path, commits: int, tasks: int) -> tuple[float, float]:
    """So many commits of so many tasks."""
    with closing(Raw(path)) as file:
        stopwatch = Stopwatch(commits * tasks)
        for _ in range(commits):
            file.commit(tasks)
        return stopwatch.read()


async def alone(raw_path: Path, our_path: Path, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds that one task alone takes: a raw commit, and ours; in turns, because disks have moods."""
    raw_ms, our_ms = [], []
    with closing(Raw(raw_path)) as file:
        async with engine(our_path, count) as accepting:
            for _ in range(count):
                began = time.perf_counter()
                file.commit()
                between = time.perf_counter()
                await accepting.submit(Task("chat", PAYLOAD))
                ended = time.perf_counter()
                raw_ms.append(1e3 * (between - began))
                our_ms.append(1e3 * (ended - between))
    return raw_ms, our_ms
