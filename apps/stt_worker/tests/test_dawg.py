"""The word graph is checked against plain sets of texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_worker.grammar.dawg import END, HOLE, NOTHING, Dawg, Node
from stt_worker.grammar.errors import SentenceTooLong, VocabularyTooLarge

texts = st.text(alphabet="ab -", max_size=6)
sets = st.sets(texts, max_size=6)


def squeezed(text: str) -> str:
    """The text as the graph knows it: single spaces, none at the end."""
    while "  " in text:
        text = text.replace("  ", " ")
    return text.removesuffix(" ")


def node_of(dawg: Dawg, some: set[str]) -> Node:
    return dawg.union([dawg.before(text, END) for text in some])


def texts_of(dawg: Dawg, node: Node) -> set[str]:
    ends = {""} if dawg.is_final(node) else set()
    return ends | {label + rest for label, to in dawg.arcs(node) for rest in texts_of(dawg, to)}


def spoken(some: set[str]) -> set[str]:
    """A hyphen where a space may stand as well adds nothing that could be heard."""
    return {text.replace("-", " ") for text in some}


@given(sets)
def test_a_node_holds_the_texts_it_was_made_of(some):
    dawg = Dawg(10_000)
    kept = texts_of(dawg, node_of(dawg, some))
    assert kept <= set(map(squeezed, some))
    assert {squeezed(text) for text in spoken(kept)} == {squeezed(text) for text in spoken(some)}


@given(st.sets(st.text(alphabet="abc", max_size=5), max_size=8), st.randoms())
def test_equal_sets_are_the_same_node_however_they_are_put_together(some, random):
    dawg = Dawg(10_000)
    left = random.sample(sorted(some), random.randint(0, len(some)))
    together = dawg.union((node_of(dawg, set(left)), node_of(dawg, some - set(left))))
    assert together == node_of(dawg, some)


@given(sets, sets)
def test_filling_a_hole_puts_the_texts_one_after_the_other(first, second):
    dawg = Dawg(10_000)
    filled = dawg.fill(dawg.union([dawg.before(text, HOLE) for text in first]), node_of(dawg, second))
    whole = {squeezed(a + b) for a in first for b in second}
    assert texts_of(dawg, filled) <= whole
    assert {squeezed(text) for text in spoken(texts_of(dawg, filled))} == {squeezed(text) for text in spoken(whole)}


@given(st.sets(st.text(alphabet="ab ", max_size=6), max_size=6))
def test_stripping_takes_the_space_in_front(some):
    dawg = Dawg(10_000)
    assert texts_of(dawg, dawg.strip(node_of(dawg, some))) == {squeezed(text).lstrip(" ") for text in some}


def test_a_hyphen_that_a_space_can_stand_for_is_dropped():
    dawg = Dawg(10_000)
    assert texts_of(dawg, node_of(dawg, {"five hour", "five-hour", "wi-fi"})) == {"five hour", "wi-fi"}


def test_what_follows_the_impossible_is_impossible():
    dawg = Dawg(10_000)
    assert dawg.before("turn on ", NOTHING) == NOTHING
    assert dawg.fill(dawg.before("a", HOLE), NOTHING) == NOTHING


def test_texts_past_the_limits_are_refused():
    with pytest.raises(SentenceTooLong):
        Dawg(10_000, longest=10).before("a" * 11, END)
    with pytest.raises(VocabularyTooLarge):
        Dawg(10).before("abcdefghijkl", END)


def test_the_longest_texts_do_not_exhaust_the_stack():
    dawg = Dawg(10_000)
    longest = "ab" * 124
    some = dawg.union([dawg.before(longest, HOLE), dawg.before(longest[:-1], HOLE)])
    with pytest.raises(SentenceTooLong):
        dawg.fill(some, dawg.before(longest, END))
    assert len(texts_of(dawg, dawg.fill(some, END))) == 2
