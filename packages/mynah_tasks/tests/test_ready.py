import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah_tasks.ready import ReadyQueue
from mynah_tasks.records import Record
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import Priority, Task

numbers = itertools.count(1)


def record(priority: Priority = Priority.NORMAL, ready_at: float = 0.0, **fields) -> Record:
    return Record(Task("echo", priority=priority, **fields), next(numbers), 0.0, ready_at)


def drain(queue: ReadyQueue) -> list[Record]:
    out = []
    while taken := queue.take(1, lambda: True, idle=True):
        out += taken
    return out


@pytest.mark.req("Q-01", "ENG-04")
@given(st.lists(st.sampled_from(Priority)))
def test_urgent_first_and_first_come_first_served_within_a_priority(priorities: list[Priority]) -> None:
    records = [record(priority) for priority in priorities]
    queue = ReadyQueue(ageing=None)
    for each in records:
        queue.push(each)
    assert drain(queue) == sorted(records, key=lambda each: (each.task.priority, each.seq))


@given(st.lists(st.tuples(st.sampled_from(Priority), st.floats(0, 1000))))
def test_nobody_is_overtaken_for_longer_than_ageing_allows(arrivals: list[tuple[Priority, float]]) -> None:
    queue = ReadyQueue(ageing=60.0)
    for priority, at in sorted(arrivals, key=lambda arrival: arrival[1]):
        queue.push(record(priority, at))
    order = drain(queue)
    for position, late in enumerate(order):
        for overtaker in order[:position]:
            lead = late.task.priority - overtaker.task.priority
            assert overtaker.ready_at - late.ready_at <= max(lead, 0) * 60.0


def test_a_batch_task_that_has_waited_long_enough_goes_before_a_critical_one() -> None:
    queue = ReadyQueue(ageing=60.0)
    old, new = record(Priority.BATCH, 0.0), record(Priority.CRITICAL, 241.0)
    queue.push(old)
    queue.push(new)
    assert drain(queue) == [old, new]


def test_what_has_ended_is_not_given_out_and_does_not_pile_up() -> None:
    queue = ReadyQueue(ageing=60.0)
    stays = record(Priority.LOW)
    queue.push(stays)
    for _ in range(10_000):
        gone = record()
        queue.push(gone)
        gone.become(TaskStatus.CANCELLED)
        queue.discard(gone)
    assert sum(len(lane) for lane in queue._light._lanes.values()) < 200
    assert drain(queue) == [stays]


@pytest.mark.req("ENG-17")
def test_memory_intensive_tasks_wait_for_memory_and_let_others_pass() -> None:
    queue = ReadyQueue(ageing=60.0)
    heavy, light = record(Priority.CRITICAL, memory_intensive=True), record(Priority.BATCH)
    queue.push(heavy)
    queue.push(light)
    assert queue.take(5, lambda: False, idle=True) == [light]
    assert queue.take(5, lambda: True, idle=True) == [heavy]


@pytest.mark.req("ENG-17")
def test_one_memory_intensive_task_is_given_out_at_a_time() -> None:
    queue = ReadyQueue(ageing=60.0)
    first, second = record(memory_intensive=True), record(memory_intensive=True)
    queue.push(first)
    queue.push(second)
    assert queue.take(5, lambda: True, idle=True) == [first]


def test_a_task_that_has_crashed_twice_runs_alone_and_first() -> None:
    queue = ReadyQueue(ageing=60.0)
    innocent, suspect = record(Priority.CRITICAL), record(Priority.BATCH)
    suspect.crashes = 2
    queue.push(innocent)
    queue.push(suspect)
    assert queue.take(5, lambda: True, idle=False) == []
    assert queue.take(5, lambda: True, idle=True) == [suspect]
    assert queue.take(5, lambda: True, idle=False) == [innocent]
