import random
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from satellite.playlist import Piece, Place, Playlist, Verdict


def piece(n, seq, *, turn="a", last=False, seconds=0.1):
    return Piece(turn, n, seq, np.zeros(round(16_000 * seconds), np.int16), last=last)


def turn_of(*lengths, turn="a"):
    """All pieces of a turn whose sentences have so many pieces."""
    return [
        piece(n, seq, turn=turn, last=seq == length - 1) for n, length in enumerate(lengths) for seq in range(length)
    ]


def taken(playlist):
    """Places of all that can be played now."""
    places = []
    while (found := playlist.take()) is not None:
        places.append((found.n, found.seq))
    return places


def filled(*pieces):
    playlist = Playlist()
    for each in pieces:
        playlist.add(each)
    return playlist


def test_pieces_are_played_in_order_of_sentence_and_number():
    pieces = turn_of(2, 3, 1)
    random.Random(1).shuffle(pieces)
    assert taken(filled(*pieces)) == [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2), (2, 0)]


def test_a_missing_piece_is_waited_for_and_reported():
    playlist = filled(piece(0, 0), piece(0, 2, last=True), piece(1, 0))
    assert playlist.gap is None
    assert taken(playlist) == [(0, 0)]
    assert playlist.gap == playlist.waiting_for == Place(0, 1)
    playlist.add(piece(0, 1))
    assert playlist.gap is None
    assert taken(playlist) == [(0, 1), (0, 2), (1, 0)]


def test_what_has_not_come_yet_is_no_gap():
    playlist = filled(piece(0, 0))
    assert taken(playlist) == [(0, 0)]
    assert playlist.gap is None
    assert playlist.waiting_for == Place(0, 1)


def test_a_gap_can_be_skipped():
    playlist = filled(piece(0, 1), piece(2, 0))
    assert playlist.skip() == Place(0, 1)
    assert taken(playlist) == [(0, 1)]
    assert playlist.skip() == Place(2, 0)
    assert playlist.add(piece(1, 0)) is Verdict.DUPLICATE
    assert taken(playlist) == [(2, 0)]
    assert playlist.skip() is None


def test_a_sentence_waits_for_the_last_piece_of_the_one_before():
    playlist = filled(piece(0, 0), piece(1, 0))
    assert taken(playlist) == [(0, 0)]
    playlist.add(piece(0, 1, last=True))
    assert taken(playlist) == [(0, 1), (1, 0)]


def test_a_duplicate_is_not_played_again():
    playlist = filled(piece(0, 0))
    assert playlist.add(piece(0, 0)) is Verdict.DUPLICATE
    playlist.take()
    assert playlist.add(piece(0, 0)) is Verdict.DUPLICATE
    assert taken(playlist) == []


def test_a_sentence_that_is_synthesised_again_goes_on_where_it_was():
    playlist = filled(piece(0, 0), piece(0, 1))
    assert taken(playlist) == [(0, 0), (0, 1)]
    for again in turn_of(4):
        playlist.add(again)
    assert taken(playlist) == [(0, 2), (0, 3)]
    assert playlist.waiting_for == Place(1, 0)


def test_a_second_synthesis_that_is_shorter_ends_the_sentence():
    playlist = filled(piece(0, 0), piece(0, 1), piece(0, 2))
    taken(playlist)
    for again in turn_of(2, 1):
        playlist.add(again)
    assert taken(playlist) == [(1, 0)]


def test_a_turn_is_complete_when_every_announced_sentence_has_been_taken():
    playlist = filled(*turn_of(2, 1))
    assert not playlist.is_complete
    playlist.announce("a", 2)
    assert not playlist.is_complete
    taken(playlist)
    assert playlist.is_complete
    assert playlist.waiting_for is None


def test_a_turn_without_sentences_is_complete_at_once():
    playlist = Playlist()
    assert not playlist.is_complete
    assert playlist.announce("a", 0) is Verdict.QUEUED
    assert playlist.is_complete


def test_a_turn_that_is_over_is_stale():
    playlist = filled(*turn_of(2))
    playlist.drop("a")
    assert playlist.turn is None
    assert playlist.add(piece(0, 1)) is Verdict.STALE
    assert playlist.announce("a", 3) is Verdict.STALE
    assert playlist.take() is None


def test_a_turn_may_be_ended_before_anything_of_it_has_come():
    playlist = Playlist()
    playlist.drop("a")
    assert playlist.add(piece(0, 0)) is Verdict.STALE


def test_turns_are_played_one_after_another():
    playlist = filled(piece(0, 0, turn="a", last=True), piece(0, 0, turn="b", last=True))
    assert playlist.turn == "a"
    assert taken(playlist) == [(0, 0)]
    playlist.drop("a")
    assert playlist.turn == "b"
    assert taken(playlist) == [(0, 0)]


def test_a_turn_that_begins_comes_before_those_that_wait():
    playlist = filled(piece(0, 0, turn="a", last=True), piece(0, 0, turn="b", last=True))
    playlist.begin("c")
    assert playlist.turn == "c"
    assert playlist.take() is None
    playlist.drop("c")
    playlist.begin("b")
    assert playlist.take().turn == "b"
    playlist.drop("b")
    playlist.begin("c")
    assert playlist.turn == "a"


def test_there_is_room_for_a_limited_time_of_speech_only():
    playlist = Playlist(capacity=timedelta(seconds=1))
    verdicts = [playlist.add(piece(0, seq, seconds=0.25)) for seq in range(1, 8)]
    assert verdicts == [Verdict.QUEUED] * 4 + [Verdict.FULL] * 3
    assert playlist.add(piece(0, 0, seconds=0.25)) is Verdict.QUEUED
    assert taken(playlist) == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4)]
    playlist.drop("a")
    assert playlist.add(piece(0, 5, turn="b", seconds=0.9)) is Verdict.QUEUED


def test_empty_pieces_and_turns_are_limited_too():
    playlist = Playlist(capacity=timedelta(seconds=1))
    assert 49 <= [playlist.add(piece(1, seq, seconds=0)) for seq in range(60)].count(Verdict.QUEUED) <= 50
    others = [playlist.announce(f"turn {number}", 1) for number in range(200)]
    assert others.count(Verdict.QUEUED) == 128


orders = st.lists(st.integers(1, 4), min_size=1, max_size=5).flatmap(
    lambda lengths: st.tuples(
        st.just(lengths),
        st.permutations(turn_of(*lengths)),
        st.lists(st.sampled_from(turn_of(*lengths)), max_size=10),
        st.randoms(use_true_random=False),
    )
)


@given(orders)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_any_order_with_any_duplicates_is_played_once_and_in_order(order):
    lengths, pieces, duplicates, dice = order
    arriving = [*pieces, *duplicates]
    playlist = Playlist()
    playlist.announce("a", len(lengths))
    played = []
    for each in arriving:
        verdict = playlist.add(each)
        assert verdict in {Verdict.QUEUED, Verdict.DUPLICATE}
        if dice.random() < 0.5:
            played += taken(playlist)
    played += taken(playlist)
    assert played == [(each.n, each.seq) for each in turn_of(*lengths)]
    assert playlist.is_complete
    assert playlist.gap is None


@given(
    st.lists(
        st.one_of(
            st.builds(piece, st.integers(0, 4), st.integers(0, 4), turn=st.sampled_from("abc"), last=st.booleans()),
            st.sampled_from(["take", "skip", "drop a", "drop b", "announce a", "announce c"]),
        ),
        max_size=60,
    )
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_whatever_happens_no_piece_is_played_twice(course):
    playlist = Playlist(capacity=timedelta(seconds=2))
    furthest: dict[str, Place] = {}
    dropped = set()
    for step in course:
        match step:
            case Piece():
                verdict = playlist.add(step)
                assert (verdict is Verdict.STALE) == (step.turn in dropped)
            case "take":
                expected = playlist.waiting_for
                found = playlist.take()
                if found is not None:
                    place = Place(found.n, found.seq)
                    assert found.turn not in dropped
                    assert place > furthest.get(found.turn, Place(-1, 0))
                    assert expected in {place, None}
                    furthest[found.turn] = place
            case "skip":
                playlist.skip()
            case _:
                word, turn = step.split()
                if word == "drop":
                    playlist.drop(turn)
                    dropped.add(turn)
                else:
                    playlist.announce(turn, 2)
        assert playlist.turn not in dropped


def test_a_place_in_a_turn_says_how_long_its_piece_is():
    assert piece(0, 0, seconds=0.5).cost == pytest.approx(0.5)
