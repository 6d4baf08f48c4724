import itertools

import pytest

from mynah_tasks.errors import IllegalTransition
from mynah_tasks.states import TaskStatus, step

P, R, C, F, X, T = TaskStatus
ALLOWED = {(P, R), (P, X), (P, T), (R, P), (R, C), (R, F), (R, X), (R, T)}


@pytest.mark.req("ENG-05")
def test_there_are_six_states() -> None:
    assert [str(status) for status in TaskStatus] == [
        "pending",
        "running",
        "completed",
        "failed",
        "cancelled",
        "timeout",
    ]


@pytest.mark.req("ENG-05")
@pytest.mark.parametrize(("current", "following"), list(itertools.product(TaskStatus, repeat=2)))
def test_only_legal_steps_are_taken(current: TaskStatus, following: TaskStatus) -> None:
    if (current, following) in ALLOWED:
        assert step(current, following) is following
    else:
        with pytest.raises(IllegalTransition, match=f"{current} cannot become {following}"):
            step(current, following)


def test_an_outcome_is_terminal_and_nothing_else_is() -> None:
    assert [status for status in TaskStatus if status.is_terminal] == [C, F, X, T]


@pytest.mark.req("ENG-20")
@pytest.mark.parametrize(("word", "status"), [("processing", R), ("queued", P), ("pending", P)])
def test_other_words_for_a_state_are_understood(word: str, status: TaskStatus) -> None:
    assert TaskStatus(word) is status


@pytest.mark.parametrize("word", ["accepted", "", None, 3])
def test_unknown_words_are_refused(word: object) -> None:
    with pytest.raises(ValueError, match="is not a valid TaskStatus"):
        TaskStatus(word)
