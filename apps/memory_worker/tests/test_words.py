"""The words of a question, and what they become in the language of FTS5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_worker.words import MOST_WORDS, any_of, words


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("What did I say about my keys?", ["keys"]),
        ("what's Anna's number", ["anna", "number"]),
        ("3.5 and 10:30 or 1,000", ["3.5", "10:30", "1,000"]),
        ("wifi-password_4711", ["wifi", "password", "4711"]),
        ("Straße CAFE\u0301", ["strasse", "café"]),
        ("tea tea TEA", ["tea"]),
        ("who are you", []),
        ("?!", []),
        ("", []),
    ],
)
def test_words_that_mean_nothing_are_left_out(question, found):
    assert words(question) == found


def test_a_long_question_is_cut_to_its_first_words():
    assert len(words(" ".join(f"word{number}" for number in range(1_000)))) == MOST_WORDS


@given(st.text())
def test_a_query_holds_nothing_but_quoted_words(text):
    for part in any_of(words(text)).split(" OR ") if words(text) else []:
        assert part[0] == part[-1] == '"'
        assert all(character.isalnum() or character in ".,:" for character in part[1:-1])
