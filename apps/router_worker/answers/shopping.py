"""What is said about the shopping list, and done to it."""

from collections.abc import Callable, Mapping

from router_worker.answers.wording import listing
from router_worker.intents import Intent
from router_worker.shopping import ListIsFull, ShoppingList

_MOST_READ = 20
_EMPTY = "The shopping list is empty."


class ShoppingAnswers:
    """Does what is asked for with the shopping list and says so."""

    def __init__(self, shopping: ShoppingList) -> None:
        self._shopping = shopping

    def by_intent(self) -> Mapping[str, Callable[[Intent], str]]:
        """What answers which intent."""
        return {
            "AddToList": self._add,
            "RemoveFromList": self._remove,
            "ShowList": self._show,
            "ClearList": self._clear,
        }

    def _add(self, intent: Intent) -> str:
        items = _items(intent)
        try:
            added = self._shopping.add(items)
        except ListIsFull:
            return "The shopping list is full."
        if not added:
            return f"{_sentence(items)} {_is_or_are(items)} on the shopping list already."
        return f"I put {listing(added)} on the shopping list."

    def _remove(self, intent: Intent) -> str:
        items = _items(intent)
        removed = self._shopping.remove(items)
        if not removed:
            return f"{_sentence(items)} {_is_or_are(items)} not on the shopping list."
        return f"I took {listing(removed)} off the shopping list."

    def _show(self, _: Intent) -> str:
        items = self._shopping.items()
        if not items:
            return _EMPTY
        more = len(items) - _MOST_READ
        read = [*items[:_MOST_READ], f"{more} more"] if more > 0 else items
        return f"On the shopping list: {listing(read)}."

    def _clear(self, _: Intent) -> str:
        return "I cleared the shopping list." if self._shopping.clear() else _EMPTY


def _items(intent: Intent) -> tuple[str, ...]:
    items = intent.slots.get("items")
    return items if isinstance(items, tuple) else ()


def _sentence(items: tuple[str, ...]) -> str:
    said = listing(items)
    return said[:1].upper() + said[1:]


def _is_or_are(items: tuple[str, ...]) -> str:
    return "is" if len(items) == 1 and not items[0].endswith("s") else "are"
