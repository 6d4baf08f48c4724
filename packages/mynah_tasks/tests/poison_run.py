"""Lets tasks kill the process that runs them, starts it again each time, and says what became of all; see test_crashes.

PYTHONPATH=packages python packages/mynah_tasks/tests/poison_run.py --poison 2 --good 50
"""

import argparse
import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import tempfile
from pathlib import Path

from mynah_tasks.engine import TaskEngine
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task


async def good(payload: int) -> int:
    await asyncio.sleep(0.002)
    return payload


async def die(_: object) -> None:
    await asyncio.sleep(0.001)
    os._exit(9)


async def live(path: Path, tasks: list[Task]) -> None:
    """Accept the tasks, unless a former life has, and work until all have ended."""
    async with TaskEngine(SqliteStore(path), max_workers=5) as engine:
        engine.register_processor("good", good)
        engine.register_processor("poison", die)
        ids = await engine.submit_all(tasks)
        for task_id in ids:
            await engine.wait_for_task(task_id)


def main() -> None:
    """Live until a life ends by itself."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--poison", type=int, default=1)
    parser.add_argument("--good", type=int, default=50)
    wanted = parser.parse_args()
    tasks = [Task("good", n, idempotency_key=f"good {n}") for n in range(wanted.good)]
    for n in range(wanted.poison):
        tasks.insert(7 * n + 3, Task("poison", n, idempotency_key=f"poison {n}"))
    deaths = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tasks.db"
        while True:
            process = os.fork()
            if process == 0:
                asyncio.run(live(path, tasks))
                os._exit(0)
            _, status = os.waitpid(process, 0)
            if os.waitstatus_to_exitcode(status) == 0:
                break
            deaths += 1
        with contextlib.closing(sqlite3.connect(path)) as db:
            query = "SELECT json_extract(spec, '$.task_type'), status, attempts FROM task LEFT JOIN state USING (seq)"
            ends = [
                f"{kind} {status} after {attempts}" if kind == "poison" else f"{kind} {status}"
                for kind, status, attempts in db.execute(query)
            ]
    verdict = {"deaths": deaths, "ends": {end: ends.count(end) for end in ends}}
    sys.stdout.write(f"{json.dumps(verdict)}\n")


if __name__ == "__main__":
    main()
