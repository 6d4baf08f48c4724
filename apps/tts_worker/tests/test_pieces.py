"""Long text is cut where it is heard least."""

from hypothesis import given
from hypothesis import strategies as st

from tts_worker.engines.pieces import LONGEST, Piece, pieces


def test_short_text_is_one_piece():
    assert list(pieces("Dr. Smith is here. He has 3.5 apples.")) == [
        Piece("Dr. Smith is here. He has 3.5 apples.", ends_clause=True)
    ]


def test_long_text_is_cut_after_the_last_sentence_that_fits():
    first, second = "a" * 90 + ". " + "b" * 80 + ".", "c" * 150
    assert list(pieces(f"{first} {second}")) == [Piece(first, ends_clause=True), Piece(second, ends_clause=True)]


def test_a_long_sentence_is_cut_after_a_clause():
    first, second = "a " * 60 + "b,", "c " * 60 + "d."
    assert list(pieces(f"{first} {second}")) == [Piece(first, ends_clause=True), Piece(second, ends_clause=True)]


def test_a_clause_that_is_too_long_is_cut_between_words_without_a_pause():
    first, *_, last = pieces("word " * 100)
    assert first == Piece(("word " * 40).strip(), ends_clause=False)
    assert last.ends_clause


def test_a_word_without_end_is_cut_anywhere():
    assert [len(piece.text) for piece in pieces("x" * 450)] == [200, 200, 50]


@given(st.text(alphabet="ab .,!?;:\n。、\u3000", max_size=2_000))
def test_nothing_is_lost_and_no_piece_is_too_long(text):
    found = list(pieces(text))
    assert all(0 < len(piece.text) <= LONGEST for piece in found)
    assert "".join("".join(piece.text for piece in found).split()) == "".join(text.split())
