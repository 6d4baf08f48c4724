"""Tasks that do nothing, handed in one after the other and then waited for: how many a second."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import anyio
from streaq import Worker
from taskiq import InMemoryBroker

from mynah_tasks.engine import TaskEngine
from mynah_tasks.task import Task

WORKERS: Final = 64
"""Tasks under way at a time, of each of those that are compared."""
SETTLING: Final = 0.5
"""Seconds that streaQ has for its notes after its last task."""


class Stopwatch:
    """What `count` tasks take, in seconds of the clock and of the processor."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._began = time.perf_counter(), time.process_time()

    def read(self) -> tuple[float, float]:
        """Tasks a second, and microseconds of the processor for each."""
        clock, processor = self._began
        took = time.perf_counter() - clock
        return self._count / took, 1e6 * (time.process_time() - processor) / self._count


async def noop(_: object = None) -> None:
    """Do nothing."""


async def ours(count: int) -> tuple[float, float]:
    """The task engine, nothing durable."""
    engine = TaskEngine(max_workers=WORKERS, queue_size=count)
    engine.register_processor("noop", noop)
    async with engine:
        stopwatch = Stopwatch(count)
        ids = [await engine.submit(Task("noop")) for _ in range(count)]
        for task_id in ids:
            await engine.wait_for_task(task_id)
        return stopwatch.read()


async def bare(count: int) -> tuple[float, float]:
    """What asyncio has: a queue, futures, and loops that work it off; no retries, deadlines or cancelling."""
    queue: asyncio.PriorityQueue[tuple[int, int, asyncio.Future[None]]] = asyncio.PriorityQueue()

    async def work() -> None:
        while True:
            _, _, answer = await queue.get()
            await noop()
            answer.set_result(None)

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(WORKERS)]
        stopwatch = Stopwatch(count)
        answers = [asyncio.get_running_loop().create_future() for _ in range(count)]
        for number, answer in enumerate(answers):
            queue.put_nowait((3, number, answer))
        for answer in answers:
            await answer
        took = stopwatch.read()
        for worker in workers:
            worker.cancel()
    return took


async def taskiq(count: int) -> tuple[float, float]:
    """Taskiq in memory."""
    broker = InMemoryBroker(max_async_tasks=WORKERS, max_stored_results=count)
    doing_nothing = broker.register_task(noop, "noop")
    await broker.startup()
    try:
        stopwatch = Stopwatch(count)
        tasks = [await doing_nothing.kiq() for _ in range(count)]
        for task in tasks:
            await task.wait_result(check_interval=0.001)
        return stopwatch.read()
    finally:
        await broker.shutdown()


@asynccontextmanager
async def streaq_worker(url: str, work: Callable[..., Awaitable[None]]) -> AsyncIterator[Worker[None]]:
    """A worker of streaQ in this process, whose tasks are called `work`."""
    worker: Worker[None] = Worker(redis_url=url, concurrency=WORKERS, handle_signals=False)
    worker.task(name="work")(work)
    async with anyio.create_task_group() as group:
        await group.start(worker.run_async)
        yield worker
        await asyncio.sleep(SETTLING)  # it breaks off in the middle of a command otherwise
        group.cancel_scope.cancel()


async def streaq(count: int, url: str) -> tuple[float, float]:
    """StreaQ on a Redis server, which is durable; until the last one has run, because asking it takes 0.1 s."""
    ended = itertools.count(1)
    has_ended = asyncio.Event()

    async def work() -> None:
        if next(ended) == count:
            has_ended.set()

    async with streaq_worker(url, work) as worker:
        stopwatch = Stopwatch(count)
        for _ in range(count):
            await worker.enqueue_unsafe("work")
        await has_ended.wait()
        return stopwatch.read()
