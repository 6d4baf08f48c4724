"""The shopping list."""

import pytest

from router_worker.shopping import MOST, ListIsFull, ShoppingList
from router_worker.store import Store


@pytest.fixture
def shopping(store: Store) -> ShoppingList:
    return ShoppingList(store)


def test_things_are_listed_in_the_order_they_were_added(shopping: ShoppingList) -> None:
    assert shopping.add(["Milk", "eggs"]) == ("milk", "eggs")
    assert shopping.add(["apples"]) == ("apples",)
    assert shopping.items() == ("milk", "eggs", "apples")


def test_a_thing_is_on_the_list_once(shopping: ShoppingList) -> None:
    shopping.add(["milk"])
    assert shopping.add(["MILK", "bread"]) == ("bread",)
    assert shopping.items() == ("milk", "bread")


def test_removing_says_what_was_there(shopping: ShoppingList) -> None:
    shopping.add(["milk", "eggs"])
    assert shopping.remove(["Milk", "caviar"]) == ("milk",)
    assert shopping.items() == ("eggs",)


def test_clearing_says_how_much_was_there(shopping: ShoppingList) -> None:
    shopping.add(["milk", "eggs"])
    assert shopping.clear() == 2
    assert shopping.items() == ()
    assert shopping.clear() == 0


def test_a_full_list_takes_nothing_more_and_loses_nothing(shopping: ShoppingList) -> None:
    shopping.add([f"thing {number}" for number in range(MOST - 1)])
    with pytest.raises(ListIsFull):
        shopping.add(["last", "one too many"])
    assert len(shopping.items()) == MOST - 1
    assert shopping.add(["last"]) == ("last",)
