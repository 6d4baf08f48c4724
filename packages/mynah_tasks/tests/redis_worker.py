"""A process that works on the tasks of a Redis store until it is killed: `redis_worker.py URL NAMESPACE LEDGER`.

Each outcome that it records is a line of the ledger, written at once, so that a kill loses none that was recorded.
"""

import asyncio
import os
import random
import sys

from mynah_tasks.engine import TaskEngine
from mynah_tasks.stores.redis import RedisStore
from mynah_tasks.task import Task, TaskResult


class Ledger(RedisStore):
    """A store that says what it has recorded."""

    def attach(self, listener, rules, clock) -> None:
        ledger = os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

        class Scribe:
            def finished(self, task: Task, result: TaskResult) -> None:
                os.write(ledger, f"{task.id} {result.status}\n".encode())
                listener.finished(task, result)

            def revoked(self, task_id: str, token: int) -> None:
                listener.revoked(task_id, token)

        super().attach(Scribe(), rules, clock)


async def work(payload: int) -> int:
    await asyncio.sleep(random.random() / 50)
    return payload * 2


async def main() -> None:
    engine = TaskEngine(Ledger(sys.argv[1], namespace=sys.argv[2], lease=1.0), max_workers=4, queue_size=100_000)
    engine.register_processor("work", work)
    async with engine:
        sys.stdout.write("working\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


asyncio.run(main())
