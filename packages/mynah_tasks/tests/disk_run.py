"""Submits tasks until told to stop by its input, whatever the disk does; says what was accepted. See test_crashes."""

import asyncio
import json
import sys
from pathlib import Path

from mynah_tasks.clock import SystemClock
from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import StoreUnavailable
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Task


async def main(path: Path, count: int) -> None:
    """Submit so many tasks, one after the other, and wait for those that were accepted."""
    engine = TaskEngine(SqliteStore(path), max_workers=1, clock=SystemClock())
    engine.register_processor("echo", lambda payload: payload)
    accepted, refused = [], 0
    async with engine:
        for n in range(count):
            try:
                accepted.append(await engine.submit(Task("echo", n)))
            except StoreUnavailable:
                refused += 1
        for task_id in accepted:
            await engine.wait_for_task(task_id)
    sys.stdout.write(json.dumps({"accepted": accepted, "refused": refused}))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
