"""How much memory a task takes that waits."""

import tracemalloc

import pytest

from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Task

COUNT = 5_000


@pytest.mark.req("PERF-06")
async def test_a_task_that_waits_takes_seven_hundred_bytes_at_most_its_id_and_payload_included(start) -> None:
    engine = await start(MemoryStore(), max_workers=0, queue_size=COUNT)
    await engine.submit(Task("chat", {"user": 0}))
    tracemalloc.start()
    try:
        for number in range(1, COUNT):
            await engine.submit(Task("chat", {"user": number}))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / COUNT <= 700
