"""From a stream of text to sentences."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_worker.sentences import Lengths, SentenceSplitter

SHORT = Lengths(first=1, least=1)
TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*"abcDE 19.,;:!?…\n-\"')*`|_\t\u2013\u3002\u00a0", "Dr. ", "3.14", "5 p.m. ", "https://x.io/a.b "]
        ),
        st.text(max_size=3),
        st.sampled_from(["word ", "Word ", "x" * 70, "a, b "]),
    ),
    max_size=80,
).map("".join)


def split(text: str, lengths: Lengths | None = None) -> list[str]:
    splitter = SentenceSplitter(lengths)
    return [*splitter.feed(text), *splitter.flush()]


def test_the_first_sentence_is_out_before_the_second_is_complete() -> None:
    splitter = SentenceSplitter()
    sentences: list[str] = []
    for delta in ["It", " is", " 3", ":", "05", " PM", ".", " An"]:
        sentences += splitter.feed(delta)
    assert sentences == ["It is 3:05 PM."]
    assert splitter.feed("d more to come") == []
    assert splitter.flush() == ["And more to come"]


def test_it_waits_for_the_next_word_to_know_an_end() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("Fruit, nuts etc. ") == []
    assert splitter.feed("and ") == []
    assert splitter.feed("more. So") == ["Fruit, nuts etc. and more."]


def test_a_line_ends_a_sentence_at_once() -> None:
    assert SentenceSplitter().feed("Here you are\n") == ["Here you are"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("Pi is 3.14 or so. Yes! Is it?", ["Pi is 3.14 or so.", "Yes!", "Is it?"]),
        ("Meet me at 5:30 today. Bye.", ["Meet me at 5:30 today.", "Bye."]),
        ("Dr. Smith met Mrs. Jones. They talked.", ["Dr. Smith met Mrs. Jones.", "They talked."]),
        ("Some fruit, e.g. Apples and i.e. Pears. Good.", ["Some fruit, e.g. Apples and i.e. Pears.", "Good."]),
        ("J. R. R. Tolkien wrote it. Really.", ["J. R. R. Tolkien wrote it.", "Really."]),
        ("See https://example.com/a.b?c=d. It helps.", ["See https://example.com/a.b?c=d.", "It helps."]),
        ("Well... maybe not. Hm… I see.", ["Well... maybe not.", "Hm…", "I see."]),
        ("It is at 5 p.m. Then we go.", ["It is at 5 p.m.", "Then we go."]),
        ("It was 1984. Then it was not.", ["It was 1984.", "Then it was not."]),
        ("1. Mix. 2. Bake it.", ["1. Mix.", "2. Bake it."]),
        ("Take No. 5 of it. No. I said no.", ["Take No. 5 of it.", "No.", "I said no."]),
        ("On the 3. floor it is. OK.", ["On the 3. floor it is.", "OK."]),
        ('He said "Go!" Then he left.', ['He said "Go!"', "Then he left."]),
        ("**Sure!** Here: one; two.", ["**Sure!**", "Here:", "one;", "two."]),
        ("What?! No way.", ["What?!", "No way."]),
        ("\u6211\u597d\u3002\u4f60\u597d\u3002", ["\u6211\u597d\u3002", "\u4f60\u597d\u3002"]),
    ],
)
def test_sentences_end_where_a_reader_would_say_so(text: str, sentences: list[str]) -> None:
    assert split(text, SHORT) == sentences


def test_short_sentences_after_the_first_are_spoken_together() -> None:
    text = "Sure. I can. I will. It takes a while, but then it is done for good and all. Bye."
    assert split(text) == ["Sure.", "I can. I will. It takes a while, but then it is done for good and all.", "Bye."]


def test_a_colon_does_not_cut_a_short_first_sentence() -> None:
    assert split("Note: this is short.") == ["Note: this is short."]


def test_a_long_sentence_is_cut_at_a_clause() -> None:
    text = "word " * 20 + "end, " + "word " * 40
    first, *rest = split(text)
    assert first.endswith("end,")
    assert all(len(sentence) <= 240 for sentence in rest)


def test_a_sentence_that_is_just_as_long_as_may_be_is_not_cut() -> None:
    text = "four four four fives."
    splitter = SentenceSplitter(Lengths(first=1, least=1, most=len(text), hard=100))
    assert splitter.feed(text) == []
    assert splitter.feed(" Next") == [text]


def test_a_sentence_without_spaces_is_cut_at_the_hard_limit() -> None:
    assert [len(sentence) for sentence in split("x" * 5000)] == [2000, 2000, 1000]
    assert [len(sentence) for sentence in split("x" * 3000 + " y")] == [2000, 1000, 1]


def test_a_sentence_before_a_very_long_one_is_not_held_back() -> None:
    assert split("Let me see what there is to see. Yes. W" + "ord " * 100)[1] == "Yes."


def test_after_a_flush_the_next_text_begins_anew() -> None:
    splitter = SentenceSplitter()
    splitter.feed("No end")
    assert splitter.flush() == ["No end"]
    assert splitter.feed("OK. Go") == ["OK."]


def test_lengths_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="must not decrease"):
        Lengths(least=300, most=240)


@given(TEXTS)
def test_no_character_is_lost_or_doubled(text: str) -> None:
    assert "".join("".join(split(text)).split()) == "".join(text.split())


@given(TEXTS, st.lists(st.integers(0, 600), max_size=40), st.sampled_from([Lengths(), SHORT, Lengths(2, 5, 20, 40)]))
def test_the_pieces_in_which_a_text_comes_make_no_difference(text: str, cuts: list[int], lengths: Lengths) -> None:
    splitter = SentenceSplitter(lengths)
    places = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    sentences: list[str] = []
    for start, end in pairwise(places):
        sentences += splitter.feed(text[start:end])
    assert [*sentences, *splitter.flush()] == split(text, lengths)
    letters = [sentence for letter in text for sentence in splitter.feed(letter)]
    assert [*letters, *splitter.flush()] == split(text, lengths)


@given(TEXTS)
def test_no_sentence_is_empty_or_too_long(text: str) -> None:
    assert all(0 < len(sentence) <= 2000 for sentence in split(text))
