"""What is remembered of a session."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah_contracts import ChatMessage
from router_worker.conversation import Bounds, Conversations


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.req("T11")
def test_the_history_has_both_sides_by_turns(clock: Clock) -> None:
    talks = Conversations(clock)
    talks.remember("a", "hello", "Hello!")
    talks.remember("a", "what time is it", "It is 3:05 PM.")
    assert talks.history("a") == [
        ChatMessage(role="user", content="hello"),
        ChatMessage(role="assistant", content="Hello!"),
        ChatMessage(role="user", content="what time is it"),
        ChatMessage(role="assistant", content="It is 3:05 PM."),
    ]


def test_the_history_has_what_was_heard_and_repeating_has_all_of_it(clock: Clock) -> None:
    talks = Conversations(clock)
    talks.remember("a", "tell me a story", "Once upon", answer="Once upon a time.")
    assert talks.history("a")[1].content == "Once upon"
    assert talks.last_answer("a") == "Once upon a time."


def test_what_nobody_heard_is_not_history_but_can_be_repeated(clock: Clock) -> None:
    talks = Conversations(clock)
    talks.remember("a", "tell me a story", "", answer="Once upon a time.")
    assert talks.history("a") == []
    assert talks.last_answer("a") == "Once upon a time."


def test_silence_does_not_replace_the_last_answer(clock: Clock) -> None:
    talks = Conversations(clock)
    talks.remember("a", "hello", "Hello!")
    talks.remember("a", "stop", "")
    assert talks.last_answer("a") == "Hello!"


def test_sessions_do_not_mix(clock: Clock) -> None:
    talks = Conversations(clock)
    talks.remember("a", "hello", "Hello!")
    talks.remember("b", "who are you", "I am Mynah.")
    assert talks.last_answer("a") == "Hello!"
    assert [message.content for message in talks.history("b")] == ["who are you", "I am Mynah."]
    assert talks.history("c") == []
    assert talks.last_answer("c") is None


def test_a_session_ends_when_nobody_speaks_and_lives_on_while_somebody_does(clock: Clock) -> None:
    talks = Conversations(clock, Bounds(idle_s=60))
    talks.remember("quiet", "hello", "Hello!")
    talks.remember("busy", "hello", "Hello!")
    clock.s += 40
    talks.remember("busy", "again", "Again!")
    clock.s += 40
    assert talks.history("quiet") == []
    assert len(talks.history("busy")) == 4
    assert len(talks) == 1


def test_the_oldest_is_forgotten_when_there_is_too_much(clock: Clock) -> None:
    talks = Conversations(clock, Bounds(turns=10, tokens=10))
    talks.remember("a", "first", "x" * 15)
    talks.remember("a", "second", "y" * 15)
    assert [message.content for message in talks.history("a")] == ["second", "y" * 15]
    talks.remember("a", "z" * 1000, "z" * 1000)
    assert [len(message.content) for message in talks.history("a")] == [20, 20]


@pytest.mark.req("T11")
@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.text(max_size=200), st.text(max_size=200), st.floats(0, 30)), max_size=60
    )
)
def test_whatever_is_said_is_bounded_and_alternates(said) -> None:
    clock, bounds = Clock(), Bounds(turns=4, tokens=50, idle_s=60, sessions=3)
    talks = Conversations(clock, bounds)
    for session, asked, heard, pause in said:
        clock.s += pause
        talks.remember(session, asked, heard)
        assert len(talks) <= 3
        for known in "abcd":
            history = talks.history(known)
            assert len(history) <= 8
            assert sum(len(message.content) for message in history) <= 200
            assert all(a.role != b.role for a, b in pairwise(history))
            assert not history or (history[0].role, history[-1].role) == ("user", "assistant")
