"""Kills a process that runs a SQLite-backed engine under load, again and again, and counts what that did.

    PYTHONPATH=packages python packages/mynah_tasks/tests/kill_run.py --kills 200

Prints one JSON object: how many tasks were accepted and in how many lives, how many of them were lost, have no outcome,
were recorded with two, or were seen with another one than was recorded, and what SQLite says of the file.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import random
import select
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.context import current_claim
from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import TaskError
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Priority, Task

SUBMITTERS = 8
LONGEST_LIFE = 0.4
"""Seconds."""

AUDIT = """
CREATE TABLE audit (seq INTEGER NOT NULL, status TEXT NOT NULL);
CREATE TRIGGER entered AFTER INSERT ON state WHEN NEW.status NOT IN ('pending', 'running')
    BEGIN INSERT INTO audit VALUES (NEW.seq, NEW.status); END;
CREATE TRIGGER changed AFTER UPDATE OF status ON state
    WHEN OLD.status NOT IN ('pending', 'running') OR NEW.status NOT IN ('pending', 'running')
    BEGIN INSERT INTO audit VALUES (NEW.seq, NEW.status); END;
"""


def build(path: Path) -> TaskEngine:
    """An engine with work that is quick, slow, unreliable and hopeless."""
    engine = TaskEngine(SqliteStore(path, keep=10**9), queue_size=300, retry=RetryPolicy(base=0.005, cap=0.02))
    engine.register_processor("quick", lambda payload: payload)
    engine.register_processor("slow", slow)
    engine.register_processor("flaky", flaky)
    engine.register_processor("boom", boom)
    return engine


async def slow(payload: int) -> int:
    await asyncio.sleep(0.001 * (payload % 7))
    return payload


async def flaky(payload: int) -> int:
    if current_claim().attempt % 2:
        raise OSError("not yet")
    return payload


async def boom(payload: int) -> int:
    raise ValueError(payload)


async def prepare(path: Path) -> None:
    """Make the file, and have it write down every outcome that is ever recorded."""
    async with build(path):
        pass
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(AUDIT)


async def live(path: Path, say: int, chance: random.Random) -> None:
    """Accept and work until killed; what was accepted, and each outcome that somebody saw, is said."""
    async with build(path) as engine, asyncio.TaskGroup() as group:
        for _ in range(SUBMITTERS):
            group.create_task(submit(engine, say, chance))


async def submit(engine: TaskEngine, say: int, chance: random.Random) -> None:
    while True:
        n = chance.randrange(10**6)
        kind = chance.choice(["quick", "slow", "flaky", "boom"])
        first = Task(kind, n, chance.choice(list(Priority)), max_retries=chance.randrange(4), timeout=30)
        then = Task("quick", n, depends_on=[first.id])
        try:
            for task_id in await engine.submit_all([first, then]):
                os.write(say, f"accepted {task_id}\n".encode())
            if n % 5 == 0:
                await engine.cancel_task(first.id)
            result = await engine.wait_for_task(then.id)
            os.write(say, f"saw {then.id} {result.status}\n".encode())
        except TaskError:
            await asyncio.sleep(0.001)


async def work_off(path: Path) -> None:
    """The last life: end what is left."""
    async with build(path) as engine:
        counts = engine._store.counts
        while counts.pending or counts.running:
            for entry in await engine.list_tasks(status="pending") + await engine.list_tasks(status="running"):
                await engine.wait_for_task(entry.task.id)
            counts = engine._store.counts


def lives(path: Path, kills: int, chance: random.Random) -> Iterator[str]:
    """What was said in so many lives, each of them ended by SIGKILL."""
    for _ in range(kills):
        hear, say = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(hear)
            asyncio.run(live(path, say, random.Random(chance.random())))
            os._exit(0)
        os.close(say)
        said, until = b"", time.monotonic() + chance.uniform(0, LONGEST_LIFE)
        while (left := until - time.monotonic()) > 0:
            if select.select([hear], [], [], left)[0]:
                piece = os.read(hear, 1 << 16)
                if not piece:
                    raise SystemExit("a life ended by itself")
                said += piece
        os.kill(process, signal.SIGKILL)
        while piece := os.read(hear, 1 << 16):
            said += piece
        os.waitpid(process, 0)
        os.close(hear)
        yield from said.decode().splitlines()


def judge(path: Path, said: list[str]) -> dict[str, object]:
    """Compare what was said with what the file has."""
    accepted = {line.split()[1] for line in said if line.startswith("accepted")}
    seen = {line.split()[1]: line.split()[2] for line in said if line.startswith("saw")}
    with contextlib.closing(sqlite3.connect(path)) as db:
        found = dict(db.execute("SELECT id, ifnull(status, 'pending') FROM task LEFT JOIN state USING (seq)"))
        twice = db.execute("SELECT count(*) FROM (SELECT seq FROM audit GROUP BY seq HAVING count(*) > 1)").fetchone()
        (check,) = db.execute("PRAGMA integrity_check").fetchone()
    return {
        "accepted": len(accepted),
        "lost": len(accepted - found.keys()),
        "without_outcome": sum(status in ("pending", "running") for status in found.values()),
        "with_two_outcomes": twice[0],
        "seen": len(seen),
        "seen_differently": sum(found.get(task_id) != status for task_id, status in seen.items()),
        "integrity": check,
        "damaged_files": len(list(path.parent.glob("*damaged*"))),
    }


def main() -> None:
    """Run the experiment."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    logging.getLogger("mynah_tasks").addHandler(logging.NullHandler())  # its warnings are what is wanted here
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.db"
        asyncio.run(prepare(path))
        said = list(lives(path, wanted.kills, random.Random(wanted.seed)))
        asyncio.run(work_off(path))
        verdict = {"kills": wanted.kills, **judge(path, said)}
    sys.stdout.write(f"{json.dumps(verdict)}\n")


if __name__ == "__main__":
    main()
