"""What is expected is searched once, early; everything else when it is asked."""

import asyncio
import gc

import pytest

from memory_worker.ahead import Ahead
from memory_worker.documents import Question, Results
from memory_worker.errors import MemoryStoreError

NOTHING = Results((), 0, truncated=False, strategy_used="lexical")
BIRDS, TREES = Question(text="birds", without_turn="1"), Question(text="trees", without_turn="1")


class Shelf:
    """Says when it is searched, and finds nothing."""

    def __init__(self) -> None:
        self.searched: list[Question] = []
        self.fails = False

    def search(self, question: Question) -> Results:
        self.searched.append(question)
        if self.fails:
            raise MemoryStoreError("The disk is gone.")
        return NOTHING


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


async def test_what_is_expected_is_searched_once_for_the_first_who_asks(shelf):
    ahead = Ahead(shelf.search)
    ahead.expect(BIRDS)
    assert await ahead.find(BIRDS) is NOTHING
    assert shelf.searched == [BIRDS]
    await ahead.find(BIRDS)
    assert shelf.searched == [BIRDS, BIRDS]


async def test_another_question_is_searched_and_the_expected_one_still_waits(shelf):
    ahead = Ahead(shelf.search)
    ahead.expect(BIRDS)
    await ahead.find(TREES)
    await ahead.find(BIRDS)
    assert sorted(shelf.searched, key=str) == [BIRDS, TREES]


async def test_after_something_was_forgotten_it_is_searched_anew(shelf):
    ahead = Ahead(shelf.search)
    ahead.expect(BIRDS)
    await asyncio.to_thread(lambda: None)
    ahead.forget()
    shelf.searched.clear()
    await ahead.find(BIRDS)
    assert shelf.searched[-1:] == [BIRDS]


async def test_what_went_wrong_is_told_to_who_asks_and_to_nobody_else(shelf, caplog):
    shelf.fails = True
    ahead = Ahead(shelf.search)
    ahead.expect(BIRDS)
    for question in (TREES, TREES):
        with pytest.raises(MemoryStoreError):
            await ahead.find(question)
    del ahead
    await asyncio.sleep(0)  # whatever the loop still holds of it goes
    gc.collect()
    assert not caplog.records
