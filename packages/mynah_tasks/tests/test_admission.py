"""What an idempotency key is compared by."""

import numpy as np
import pytest

from mynah_tasks.errors import DuplicateTask
from mynah_tasks.task import Task


@pytest.mark.parametrize(
    ("make", "make_other"),
    [
        (lambda: {"b": (1, 2), "a": 1}, lambda: {"b": [1, 2], "a": 1.0}),
        (lambda: {"audio": np.arange(9.0), "text": b"1"}, lambda: {"audio": np.arange(9.0), "text": b"2"}),
        (lambda: {"audio": np.arange(9.0)}, lambda: {"audio": np.arange(8.0)}),
        (lambda: {"processor": print}, lambda: {"processor": input}),
        (lambda: {"processor": print}, lambda: {"processor": print, 1: "\ud800"}),
    ],
)
async def test_any_object_is_the_same_work_or_other_work(start, make, make_other) -> None:
    engine = await start(max_workers=0)
    task_id = await engine.submit(Task("echo", make(), idempotency_key="k"))
    assert await engine.submit(Task("echo", make(), idempotency_key="k")) == task_id
    with pytest.raises(DuplicateTask, match="other work"):
        await engine.submit(Task("echo", make_other(), idempotency_key="k"))


@pytest.mark.parametrize("payload", [{"text": "\ud800"}, {"number": 2**64}])
async def test_what_no_strict_json_can_say_is_compared_all_the_same(start, payload) -> None:
    engine = await start(max_workers=0)
    task_id = await engine.submit(Task("echo", payload, idempotency_key="k"))
    assert await engine.submit(Task("echo", dict(payload), idempotency_key="k")) == task_id
    with pytest.raises(DuplicateTask, match="other work"):
        await engine.submit(Task("echo", {"text": "\ud801"}, idempotency_key="k"))


async def test_what_cannot_be_compared_is_other_work(start) -> None:
    engine = await start(max_workers=0)
    await engine.submit(Task("echo", {("a", "tuple"): 1}, idempotency_key="k"))
    with pytest.raises(DuplicateTask, match="other work"):
        await engine.submit(Task("echo", {("a", "tuple"): 1}, idempotency_key="k"))


async def test_only_what_is_new_is_counted(start) -> None:
    engine = await start(max_workers=0)
    for n in (1, 1, 2):
        await engine.submit_all([Task("echo", idempotency_key=f"k{n}"), Task("echo", idempotency_key=f"k{n}")])
    assert engine.queue_metrics()["tasks_enqueued"] == 2


@pytest.mark.parametrize("number", [1, 2**70])
async def test_the_order_of_keys_makes_no_difference(start, number) -> None:
    engine = await start(max_workers=0)
    task_id = await engine.submit(Task("echo", {"a": number, "b": 1}, idempotency_key="k"))
    assert await engine.submit(Task("echo", {"b": 1, "a": number}, idempotency_key="k")) == task_id
