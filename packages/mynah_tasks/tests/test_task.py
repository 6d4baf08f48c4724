import json
import math

import pytest

from mynah_tasks.states import TaskStatus
from mynah_tasks.task import DeadLetter, Entry, Priority, Task, TaskResult, new_id


@pytest.mark.req("ENG-06")
def test_a_task_has_the_fields_of_the_processor_and_is_json() -> None:
    task = Task(
        "ai_response",
        {"prompt": "hello"},
        Priority.HIGH,
        timeout=10.0,
        cpu_intensive=True,
        tags={"voice", "child"},
        depends_on=["a", "b", "a"],
    )
    shown = json.loads(json.dumps(task.to_dict()))
    assert shown == {
        "task_type": "ai_response",
        "payload": {"prompt": "hello"},
        "priority": 2,
        "id": task.id,
        "timeout": 10.0,
        "max_retries": 3,
        "cpu_intensive": True,
        "memory_intensive": False,
        "io_bound": False,
        "tags": ["child", "voice"],
        "depends_on": ["a", "b"],
        "expires_at": None,
        "idempotency_key": None,
        "durable": True,
    }


@pytest.mark.req("ENG-06", "ENG-15")
def test_a_payload_that_is_not_json_is_shown_all_the_same() -> None:
    shown = Task("custom", {"processor": math.sqrt, 1: "number as a key"}, durable=False).to_dict()
    assert json.loads(json.dumps(shown))["payload"] == {"processor": "<built-in function sqrt>", "1": "number as a key"}


@pytest.mark.req("ENG-04")
def test_priorities_have_the_processors_numbers() -> None:
    assert {priority.name: int(priority) for priority in Priority} == {
        "CRITICAL": 1, "HIGH": 2, "NORMAL": 3, "LOW": 4, "BATCH": 5,
    }  # fmt: skip


@pytest.mark.req("ENG-20")
@pytest.mark.parametrize(("urgency", "priority"), [(0, Priority.NORMAL), (1, Priority.HIGH), (2, Priority.CRITICAL)])
def test_the_voice_engines_urgency_is_translated(urgency: int, priority: Priority) -> None:
    assert Priority.from_urgency(urgency) is priority


@pytest.mark.parametrize("urgency", [-1, 3])
def test_an_unknown_urgency_is_refused(urgency: int) -> None:
    with pytest.raises(ValueError, match="0, 1 or 2"):
        Priority.from_urgency(urgency)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"timeout": 0},
        {"timeout": -1.0},
        {"timeout": math.nan},
        {"timeout": math.inf},
        {"timeout": 10**400},
        {"expires_at": math.nan},
        {"expires_at": math.inf},
        {"expires_at": -(10**400)},
        {"depends_on": "abc"},
        {"tags": "abc"},
        {"priority": 6},
    ],
)
def test_values_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # each has its own message
        Task("echo", **wrong)


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Task("echo").payload = 1


@pytest.mark.req("FLAW-J7")
def test_ids_differ_and_sort_by_the_time_they_were_made() -> None:
    ids = [new_id() for _ in range(10_000)]
    assert len(set(ids)) == len(ids)
    stamps = [task_id[:12] for task_id in ids]
    assert stamps == sorted(stamps)


@pytest.mark.req("ENG-07")
def test_a_result_has_the_processors_fields() -> None:
    result = TaskResult("1", TaskStatus.COMPLETED, 42, None, 0.5, 10.0, 11.0)
    assert json.loads(json.dumps(result.to_dict())) == {
        "task_id": "1",
        "status": "completed",
        "result": 42,
        "error": None,
        "execution_time": 0.5,
        "created_at": 10.0,
        "completed_at": 11.0,
        "attempts": 0,
    }


@pytest.mark.req("Q-07")
def test_a_dead_letter_has_exactly_the_five_fields() -> None:
    task = Task("chat", {"user_id": "u1", "message": "hi"})
    state = TaskResult(task.id, TaskStatus.FAILED, error="ValueError: no", completed_at=12.0, attempts=4)
    assert DeadLetter.of(Entry(task, state)).to_dict() == {
        "task_id": task.id,
        "error": "ValueError: no",
        "retry_count": 3,
        "failed_at": 12.0,
        "task": {"user_id": "u1", "message": "hi"},
    }
