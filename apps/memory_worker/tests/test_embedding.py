"""Vectors: found by meaning, made again for another model, one call at a time."""

import asyncio
import threading

import numpy as np
import pytest

from memory_worker.documents import Entry, Question
from memory_worker.embedding import HashedWords, ModelThread
from memory_worker.errors import EmbedderError
from memory_worker.store import BATCH, Store

MEANINGS = {"automobile": "car", "vehicle": "car", "feline": "cat", "kitty": "cat"}
FACTS = ["my car is red", "the cat sleeps all day", "dinner is at seven", "the car and the garage are mine"]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "memory.db"


def embedder(dimension=384):
    return HashedWords(dimension, MEANINGS)


def remember(store, texts, **fields):
    for number, text in enumerate(texts):
        assert store.add(Entry(f"{text}{number}", text, "user", float(number), **fields))


def find(store, text, **fields):
    return [document.text for document in store.query(Question(text, **fields)).documents]


class Broken:
    """A model that fails until it is repaired."""

    name = "broken"
    dimension = 384

    def __init__(self):
        self.works = False

    def embed(self, texts):
        if not self.works:
            raise EmbedderError("out of memory")
        return embedder().embed(texts)


def test_the_stand_in_is_deterministic_and_of_length_one():
    one, other = embedder().embed(["hello big world", "", "a cat"]), embedder().embed(["hello big world", "", "a cat"])
    assert np.array_equal(one, other)
    assert (one.shape, one.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(one, axis=1) == pytest.approx([1, 0, 1])


def test_texts_are_found_by_meaning(path):
    with Store(path, embedder()) as store:
        remember(store, FACTS)
        results = store.query(Question("automobile red", top_k=2, strategy="similarity"))
        assert [document.text for document in results.documents] == ["my car is red", "the car and the garage are mine"]
        assert results.strategy_used == "similarity"
        assert find(store, "feline", top_k=1) == ["the cat sleeps all day"]


def test_words_in_common_add_to_the_meaning(path):
    with Store(path, embedder()) as store:
        remember(store, ["a vehicle", "a car"])
        assert find(store, "car") == ["a car", "a vehicle"]
        hybrid = store.query(Question("car red", strategy="hybrid")).documents
        similar = {
            document.text: document.score
            for document in store.query(Question("car red", strategy="similarity")).documents
        }
        assert hybrid[0].score > similar["a car"]
        assert hybrid[1].score == pytest.approx(similar["a vehicle"])


def test_words_never_push_a_better_meaning_down_by_more_than_their_share(path):
    with Store(path, embedder()) as store:
        remember(store, ["vehicle painting", "car one two three four five six seven eight nine ten eleven twelve"])
        assert find(store, "car painting", top_k=1) == ["vehicle painting"]


def test_similarity_is_meaning_alone(path):
    with Store(path, embedder()) as store:
        remember(store, FACTS)
        scores = [document.score for document in store.query(Question("dinner", strategy="similarity")).documents]
        (dinner, question) = embedder().embed(["dinner is at seven", "dinner"])
        assert scores[0] == pytest.approx(float(dinner @ question), abs=1e-5)
        assert all(0 <= score <= 1 for score in scores)


def test_vectors_outlive_a_restart_and_reach_another_program(path):
    with Store(path, embedder()) as one, Store(path, embedder()) as other:
        remember(one, FACTS)
        assert find(other, "kitty", top_k=1, strategy="similarity") == ["the cat sleeps all day"]
        remember(other, ["a kitty came by"])
        assert find(one, "feline came", top_k=1, strategy="similarity") == ["a kitty came by"]
    with Store(path, embedder()) as store:
        assert find(store, "kitty", top_k=1) == ["a kitty came by"]


def test_what_is_forgotten_is_not_found_by_meaning(path):
    with Store(path, embedder()) as store:
        remember(store, FACTS)
        assert find(store, "feline", top_k=1) == ["the cat sleeps all day"]
        store.forget_about("", "cat")
        assert "the cat sleeps all day" not in find(store, "feline", top_k=50)
        remember(store, ["a new kitty"])
        assert find(store, "feline", top_k=1) == ["a new kitty"]


def test_what_is_forgotten_does_not_crowd_out_what_is_left(path):
    with Store(path, embedder()) as store:
        remember(store, ["a cat"] * 60, session="cats")
        remember(store, ["my cat and my dog and my bird"])
        assert find(store, "feline", top_k=1) == ["a cat"]
        store.forget(session="cats")
        assert find(store, "feline", strategy="similarity") == ["my cat and my dog and my bird"]


@pytest.mark.req("S19")
def test_nobody_finds_the_meaning_of_what_belongs_to_somebody_else(path):
    with Store(path, embedder()) as store:
        remember(store, ["secret of anna's car"], user="anna")
        remember(store, ["ben's cat"], user="ben")
        assert find(store, "automobile", user="ben", top_k=50) == ["ben's cat"]
        assert find(store, "automobile", user="carl") == []


def test_more_vectors_than_there_was_room_for_are_searched(path):
    with Store(path, embedder(8)) as store:
        remember(store, [f"filler {number}" for number in range(1_100)])
        remember(store, ["the only unicorn"])
        assert find(store, "unicorn", top_k=1, strategy="similarity") == ["the only unicorn"]


@pytest.mark.req("MEM-03")
async def test_vectors_of_another_dimension_are_made_again(path):
    with Store(path, embedder(384)) as store:
        remember(store, FACTS * 40)
    with Store(path, embedder(768)) as store:
        # At once, by words; by meaning once the vectors are made.
        assert find(store, "cat", top_k=1) == ["the cat sleeps all day"]
        assert find(store, "feline", strategy="similarity") == []
        assert await store.reconcile() == len(FACTS) * 40
        assert find(store, "feline", top_k=1, strategy="similarity") == ["the cat sleeps all day"]
        assert await store.reconcile() == 0


@pytest.mark.req("MEM-03")
async def test_documents_without_a_vector_get_one(path):
    with Store(path) as store:
        remember(store, [*FACTS, *(f"filler {number}" for number in range(3 * BATCH))])
        assert await store.reconcile() == 0
    with Store(path, embedder()) as store:
        assert await store.reconcile() == len(FACTS) + 3 * BATCH
        assert find(store, "kitty", top_k=1) == ["the cat sleeps all day"]


class Patient:
    """A model that answers nothing before it has been asked for two batches."""

    name = "patient"
    dimension = 8

    def __init__(self):
        self.asked = []
        self._both = asyncio.Event()

    async def embed_async(self, texts):
        self.asked.append(list(texts))
        if len(self.asked) == 2:
            self._both.set()
        await self._both.wait()
        return embedder(8).embed(texts)

    def embed(self, texts):
        raise AssertionError("the asynchronous method was there")


@pytest.mark.req("MEM-02", "MEM-04")
async def test_old_and_new_documents_are_with_the_model_at_once(path):
    with Store(path, embedder()) as store:
        remember(store, ["old one", "old two"])
    with Store(path) as store:
        remember(store, ["new one", "new two"])
    model = Patient()
    with Store(path, model) as store:
        async with asyncio.timeout(30):
            assert await store.reconcile() == 4
    assert sorted(map(sorted, model.asked)) == [["new one", "new two"], ["old one", "old two"]]


@pytest.mark.req("MEM-02")
async def test_an_asynchronous_model_is_awaited_for_documents_and_questions(path):
    model = Patient()
    with Store(path, model) as store:
        async with asyncio.timeout(30):
            await asyncio.gather(
                store.add_async(Entry("m", "old cat", "user", 0.0)), store.query_async(Question("cat"))
            )
            found = await store.query_async(Question("cat", strategy="similarity"))
    assert [document.text for document in found.documents] == ["old cat"]


@pytest.mark.req("MEM-01")
async def test_calls_of_a_model_never_overlap():
    class Counting:
        name = "counting"
        dimension = 8

        def __init__(self):
            self.inside = threading.Lock()
            self.calls = 0

        def embed(self, texts):
            assert self.inside.acquire(blocking=False), "two calls at once"
            self.calls += 1
            vectors = embedder(8).embed(list(texts) * 200)[: len(texts)]
            self.inside.release()
            return vectors

    model = Counting()
    with ModelThread(model) as thread:
        made = await asyncio.gather(
            *(thread.embed_async([f"text {number}"]) for number in range(20)),
            *(asyncio.to_thread(thread.embed, [f"text {number}"]) for number in range(20)),
        )
    assert model.calls == 40
    assert np.array_equal(np.concatenate(made[:20]), np.concatenate(made[20:]))


def test_a_model_that_fails_costs_no_document(path, caplog):
    model = Broken()
    with Store(path, model) as store:
        remember(store, FACTS)
        results = store.query(Question("cat"))
        assert [document.text for document in results.documents] == ["the cat sleeps all day"]
        assert results.strategy_used == "lexical"
        assert "out of memory" in caplog.text


async def test_documents_get_their_vectors_once_the_model_works_again(path):
    model = Broken()
    with Store(path, model) as store:
        for number, text in enumerate(FACTS):
            assert await store.add_async(Entry(f"m{number}", text, "user", 0.0))
        with pytest.raises(EmbedderError):
            await store.reconcile()
        assert (await store.query_async(Question("cat"))).strategy_used == "lexical"
        model.works = True
        assert await store.reconcile() == len(FACTS)
        assert find(store, "feline", top_k=1) == ["the cat sleeps all day"]
