"""What is remembered is found again, by whom it belongs to, and gone when it is forgotten."""

import itertools
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_worker.documents import Entry, Limits, Question, token_count
from memory_worker.errors import MemoryStoreError, StoreBusyError, StoreFullError
from memory_worker.lexical import MOST_RANKED
from memory_worker.store import Store

FACTS = [
    "My cat is called Minka",
    "I left the car keys on the fridge",
    "The wifi password is 4711-Kolibri",
    "My dentist appointment is on Friday at 10:30",
    "I am allergic to peanuts",
    "The garden lights are switched off at midnight",
]
numbers = itertools.count()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.db"


@pytest.fixture
def store(path):
    with Store(path) as opened:
        yield opened


def entry(text, **fields):
    number = next(numbers)
    return Entry(**{"id": f"m{number}", "text": text, "speaker": "user", "ts": float(number), **fields})


def remember(store, *texts, **fields):
    for text in texts:
        assert store.add(entry(text, **fields))


def texts(results):
    return [document.text for document in results.documents]


def find(store, text, **fields):
    return texts(store.query(Question(text, **fields)))


@pytest.mark.parametrize(
    ("question", "fact"),
    [
        ("what is my cat's name", 0),
        ("where did I put my key", 1),
        ("KEYS?", 1),
        ("what was that wifi password", 2),
        ("4711", 2),
        ("kolibri", 2),
        ("when am I seeing the dentists", 3),
        ("what happens at 10:30", 3),
        ("which allergies do I have, peanut?", 4),
        ("who switches the light off", 5),
    ],
)
def test_a_question_finds_what_shares_its_words_in_any_form(store, question, fact):
    remember(store, *FACTS)
    assert find(store, question)[0] == FACTS[fact]


def test_names_are_found_with_or_without_their_accents(store):
    remember(store, "José lives in Zürich", "Jörg lives in Köln")
    assert find(store, "jose") == ["José lives in Zürich"]
    assert find(store, "who lives in KO\u0308LN") == ["Jörg lives in Köln", "José lives in Zürich"]


def test_a_question_without_a_word_in_common_finds_nothing(store):
    remember(store, *FACTS)
    results = store.query(Question("quantum chromodynamics"))
    assert (results.documents, results.total_tokens, results.truncated) == ((), 0, False)


def test_scores_fall_from_at_most_one(store):
    remember(store, "red apples", "red apples and green pears and blue plums", "red bricks", *FACTS)
    scores = [document.score for document in store.query(Question("red apples", top_k=3)).documents]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] == 1.0
    assert 0 < scores[-1] < 1


def test_the_best_score_is_the_share_of_the_words_that_were_found(store):
    remember(store, *FACTS)
    assert store.query(Question("cat unicorn")).documents[0].score == pytest.approx(0.5)


def test_of_equals_the_newest_comes_first(store):
    for number in range(5):
        store.add(entry("the bins go out today", id=f"bins{number}"))
    found = store.query(Question("bins", top_k=3)).documents
    assert [document.id for document in found] == ["bins4", "bins3", "bins2"]


def test_a_document_comes_back_as_it_was_said(store):
    text = 'She said: "it\'s <b>50 %</b>" \N{SNOWMAN}\nand left'
    store.add(Entry(id="m", text=text, speaker="assistant", ts=1763.5, session="s", turn="t"))
    (found,) = store.query(Question("left")).documents
    assert (found.id, found.text, found.speaker, found.ts, found.context_type) == (
        "m",
        text,
        "assistant",
        1763.5,
        "target",
    )


def test_nothing_but_what_was_said_is_searched(store):
    store.add(Entry(id="4f2a", text="hello", speaker="user", ts=1763.0, session="kitchen", turn="seven", user=""))
    assert [find(store, word) for word in ("4f2a", "user", "1763", "kitchen", "seven", "en", "None")] == [[]] * 7


def test_a_message_is_remembered_once(store, count):
    assert store.add(entry("first words", id="same"))
    assert not store.add(entry("other words", id="same"))
    assert count(store) == 1
    assert find(store, "words") == ["first words"]
    assert store.add(entry("other words", id="same", user="ben"))


@pytest.mark.parametrize("text", ["", "  \n\t", "\u3000"])
def test_blank_text_is_not_remembered(store, text, count):
    assert not store.add(entry(text))
    assert count(store) == 0


def test_a_text_that_is_too_long_is_refused(path):
    with Store(path, limits=Limits(characters=10)) as store:
        with pytest.raises(ValueError, match="11 characters"):
            store.add(entry("x" * 11))
        assert store.add(entry("x" * 10))


@pytest.mark.parametrize("ts", [float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(ts):
    with pytest.raises(ValueError, match="ts"):
        Entry("m", "text", "user", ts)


@pytest.mark.parametrize(
    "wrong", [{"top_k": 0}, {"top_k": 51}, {"context_window": -1}, {"context_window": 6}, {"max_tokens": 0}]
)
def test_a_question_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Question("text", **wrong)


def test_a_question_does_not_find_itself(store):
    remember(store, "I like tea", turn="t1")
    remember(store, "what did I say about tea", turn="t2")
    store.add(entry("You said that you like tea", speaker="assistant", turn="t2"))
    assert find(store, "what did I say about tea", without_turn="t2") == ["I like tea"]
    assert find(store, "", strategy="recent", without_turn="t2") == ["I like tea"]


def test_a_question_that_was_asked_often_leaves_room_for_its_answer(store):
    remember(store, "tea is what I like")
    for _ in range(20):
        store.add(entry("tea tea tea", turn="now"))
    assert find(store, "tea", top_k=1, without_turn="now") == ["tea is what I like"]


def test_the_newest_come_back_whatever_they_say(store):
    remember(store, "one", "two", "three")
    results = store.query(Question("nothing in common", strategy="recent", top_k=2))
    assert texts(results) == ["three", "two"]
    assert results.strategy_used == "recent"
    assert results.documents[0].score is None


@pytest.mark.parametrize("strategy", ["hybrid", "similarity"])
def test_words_decide_and_the_answer_says_so(store, strategy):
    remember(store, *FACTS)
    results = store.query(Question("cat", strategy=strategy))
    assert (texts(results), results.strategy_used) == ([FACTS[0]], "lexical")


def test_what_was_said_around_it_comes_along_in_its_order(store):
    remember(store, "a", "b", "the parcel came", "d", "e", session="one")
    remember(store, "unrelated", session="two")
    remember(store, "f", session="one")
    results = store.query(Question("parcel", context_window=2))
    assert [(document.text, document.context_type) for document in results.documents] == [
        ("a", "previous"),
        ("b", "previous"),
        ("the parcel came", "target"),
        ("d", "next"),
        ("e", "next"),
    ]


def test_surroundings_that_overlap_come_once(store):
    remember(store, "x", "parcel one", "parcel two", "y", session="s")
    found = find(store, "parcel", context_window=5)
    assert sorted(found) == ["parcel one", "parcel two", "x", "y"]


def test_the_surroundings_are_without_the_question_itself(store):
    remember(store, "the parcel came", session="s", turn="before")
    remember(store, "where is the parcel", session="s", turn="now")
    assert find(store, "where is the parcel", context_window=2, without_turn="now") == ["the parcel came"]


def test_tokens_are_counted_and_bounded(store):
    remember(store, "tea " * 10, "tea " * 20, "tea " * 30)
    assert token_count("tea " * 10) == 13
    results = store.query(Question("tea", max_tokens=45))
    assert results.truncated
    assert results.total_tokens == sum(document.token_count for document in results.documents) <= 45
    everything = store.query(Question("tea"))
    assert (everything.truncated, everything.total_tokens) == (False, 13 + 26 + 39)


def test_what_was_found_takes_the_room_before_what_surrounds_it(store):
    remember(store, "around " * 10, "tea one", "around " * 10, "tea two", session="s")
    results = store.query(Question("tea", context_window=1, max_tokens=7))
    assert (sorted(texts(results)), results.truncated) == (["tea one", "tea two"], True)


@pytest.mark.req("S19")
@pytest.mark.parametrize("strategy", ["hybrid", "similarity", "recent"])
def test_nobody_finds_what_belongs_to_somebody_else(store, strategy):
    for user in ("anna", "ben", "", "anna2"):
        remember(store, f"secret tea of {user}", f"more tea of {user}", user=user, session="same", turn="same")
    for user in ("anna", "ben", "", "anna2"):
        found = find(store, "secret tea", user=user, strategy=strategy, top_k=50, context_window=5)
        assert sorted(found) == [f"more tea of {user}", f"secret tea of {user}"]
    assert find(store, "secret tea", user="carl", strategy=strategy) == []


def test_what_is_forgotten_is_not_found_and_nothing_else_is_lost(store, count):
    remember(store, "green tea", "more green tea", "late tea", user="anna")
    remember(store, "green tea", user="ben")
    assert store.forget_about("anna", "green tea") == 2
    assert find(store, "tea", user="anna") == ["late tea"]
    assert find(store, "tea", user="ben") == ["green tea"]
    assert (count(store, "anna"), count(store)) == (1, 2)


def test_forgetting_a_subject_takes_every_word_of_it(store, count):
    remember(store, "my boss is called Ada", "my boss likes cats", "cats are nice", user="anna")
    remember(store, "my boss likes cats", user="ben")
    assert store.forget_about("anna", "what I said about my boss's cats") == 1
    assert count(store, "anna") == 2
    assert (
        store.forget_about("anna", "unicorns")
        == store.forget_about("anna", "  ")
        == store.forget_about("carl", "x")
        == 0
    )


def test_a_user_can_be_forgotten_altogether(store, count):
    remember(store, "tea", user="anna")
    remember(store, "tea", user="ben")
    assert store.forget_user("anna") == 1
    assert (count(store, "anna"), count(store)) == (0, 1)
    remember(store, "coffee", user="anna")
    assert find(store, "tea coffee", user="anna") == ["coffee"]


@pytest.mark.parametrize("way", ["subject", "user"])
def test_what_is_forgotten_is_gone_from_the_disk(store, path, way):
    remember(store, *(f"filler number {number}" for number in range(300)))
    remember(store, "the Xylophonist lives at Qwertzstrasse", user="Zaphod")
    remember(store, *(f"more filler {number}" for number in range(300)))
    if way == "subject":
        store.forget_about("Zaphod", "xylophonist")
    else:
        store.forget_user("Zaphod")
    on_disk = b"".join(file.read_bytes() for file in path.parent.glob("memory.db*")).lower()
    assert b"filler" in on_disk
    assert b"xylophonist" not in on_disk
    assert b"qwertz" not in on_disk


def test_the_oldest_go_when_there_is_too_much(path, count):
    with Store(path, limits=Limits(documents=100)) as store:
        for number in range(250):
            store.add(entry(f"tea {number}", user="anna"))
        store.add(entry("tea of ben", user="ben"))
        assert 90 <= count(store, "anna") <= 100
        assert find(store, "249", user="anna") == ["tea 249"]
        assert find(store, "0", user="anna") == []
        assert count(store, "ben") == 1


def test_what_is_too_old_is_not_found_and_goes(path, count):
    with Store(path, limits=Limits(age_s=100), now=lambda: 1_000.0) as store:
        store.add(entry("old tea", ts=899.0))
        store.add(entry("new tea", ts=950.0))
        assert find(store, "tea") == find(store, "tea", strategy="recent") == ["new tea"]
        assert count(store) == 1


def test_all_is_there_again_after_a_restart(path, count):
    with Store(path) as store:
        remember(store, *FACTS, user="anna")
    with Store(path) as store:
        assert store.recovery is None
        assert count(store) == len(FACTS)
        assert find(store, "cat", user="anna") == [FACTS[0]]


def test_the_file_is_for_its_owner_only(store, path):
    remember(store, "tea")
    assert {oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {"0o600"}


def test_two_programs_share_one_file(path):
    with Store(path) as one, Store(path) as other:
        remember(one, "tea from one")
        remember(other, "tea from the other")
        assert sorted(find(one, "tea")) == sorted(find(other, "tea")) == ["tea from one", "tea from the other"]


def test_many_threads_add_and_ask_at_once(store, count):
    def work(number):
        remember(store, f"tea number {number}")
        return len(find(store, "tea", top_k=50))

    with ThreadPoolExecutor(20) as threads:
        found = list(threads.map(work, range(100)))
    assert count(store) == 100
    assert all(1 <= count <= 50 for count in found)


def test_opening_a_new_file_from_many_threads_makes_one(path, count):
    def work(number):
        with Store(path) as store:
            remember(store, f"tea {number}")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(16)))
    with Store(path) as store:
        assert count(store) == 16
    assert [file.name for file in path.parent.iterdir()] == ["memory.db"]


def test_a_file_in_use_is_an_error_and_not_a_loss(path):
    with Store(path, patience_s=0.05) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError, match="in use"):
            store.add(entry("tea"))
        assert find(store, "tea") == []
        other.execute("ROLLBACK")
        remember(store, "tea")
        assert find(store, "tea") == ["tea"]


def test_a_full_disk_is_an_error_and_not_a_loss(store, count):
    remember(store, *FACTS)
    writer = store._opened._writer
    pages = writer.execute("PRAGMA page_count").fetchone()[0]
    writer.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreFullError, match="disk is full"):
        remember(store, *(f"filler {number} " * 200 for number in range(100)))
    kept = count(store)
    assert find(store, "cat") == [FACTS[0]]
    writer.execute("PRAGMA max_page_count = 1000000")
    remember(store, "one more")
    assert count(store) == kept + 1


@pytest.mark.parametrize("place", ["file/memory.db", "folder"])
def test_a_place_where_nothing_can_be_kept_is_explained(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "folder").mkdir()
    with pytest.raises(MemoryStoreError, match="memory"), Store(tmp_path / place):
        pytest.fail("opened")


def test_a_store_that_is_closed_says_so(path):
    with Store(path) as store:
        pass
    with pytest.raises(MemoryStoreError, match="not open"):
        store.query(Question("tea"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with Store(tmp_path_factory.mktemp("fuzz") / "memory.db") as opened:
        remember(opened, *FACTS)
        yield opened


@given(text=st.text(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_text_can_be_asked(shared, text):
    for strategy in ("hybrid", "recent"):
        for document in shared.query(Question(text, strategy=strategy, context_window=1, without_turn=text)).documents:
            assert document.text in FACTS


@given(text=st.text(min_size=1, max_size=200), user=st.text(max_size=20), number=st.uuids())
@settings(deadline=None)
def test_any_text_can_be_remembered(tmp_path_factory, text, user, number):
    with Store(tmp_path_factory.mktemp("one") / "memory.db") as store:
        added = store.add(
            Entry(id=str(number) + text, text=text, speaker="user", ts=0.0, user=user, session=text, turn=user)
        )
        assert added == bool(text.strip())
        found = find(store, "", strategy="recent", user=user)
        assert found == ([text.replace("\0", "\ufffd")] if added else [])


def test_a_frequent_word_does_not_hide_an_old_document_with_a_rare_one(store):
    remember(store, "the garage code is zebra")
    remember(store, *(f"the garage door moved {number}" for number in range(MOST_RANKED + 200)))
    assert find(store, "garage zebra unicorn", top_k=3)[0] == "the garage code is zebra"
    assert find(store, "garage", top_k=1) == [f"the garage door moved {MOST_RANKED + 199}"]
    newest = [f"the garage door moved {MOST_RANKED + 199 - number}" for number in range(50)]
    assert find(store, "garage door moved", top_k=50) == newest


def test_frequent_words_do_not_hide_an_old_document_that_holds_them_all(store):
    remember(store, "the garage key is blue")
    for number in range(MOST_RANKED + 50):
        remember(store, f"the garage door moved {number}", f"a key was used {number}", f"blue sky {number}")
    assert find(store, "garage key blue", top_k=1) == ["the garage key is blue"]


def test_closing_waits_for_a_question(store):
    with store._opened.read():
        closer = threading.Thread(target=store.__exit__)
        closer.start()
        assert closer.is_alive()
    closer.join(timeout=10)
    assert not closer.is_alive()


def test_the_folder_of_the_file_is_made(tmp_path):
    with Store(tmp_path / "a" / "b" / "memory.db") as store:
        remember(store, "tea")
    assert Path(tmp_path / "a" / "b" / "memory.db").exists()
