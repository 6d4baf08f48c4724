"""Looking into a long queue in memory, on the event loop."""

import time

import pytest

from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Task

LONGEST_STALL = 0.05
"""Seconds."""


@pytest.mark.parametrize("options", [{}, {"tag": "t"}, {"status": TaskStatus.COMPLETED}, {"before": "1000"}])
async def test_a_page_of_a_long_queue_does_not_hold_up_the_loop(start, options) -> None:
    engine = await start(max_workers=0, queue_size=40_000)
    await engine.submit_all([Task("echo", id=str(n), tags={"t"} if n % 1000 == 0 else ()) for n in range(40_000)])
    costs = []
    for _ in range(3):
        began = time.thread_time()
        await engine.list_tasks(limit=10, **options)
        costs.append(time.thread_time() - began)
    assert min(costs) < LONGEST_STALL
