"""The shopping list."""

from collections.abc import Iterable

from router_worker.store import Store

SHOPPING = "shopping"
MOST = 500
"""Things on the list."""


class ListIsFull(ValueError):
    """No more things fit on the list."""


class ShoppingList:
    """Things to buy, in the order in which they were thought of; on the disk when a method returns.

    All methods raise StoreError if they cannot read or keep it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def items(self) -> tuple[str, ...]:
        """What is on the list."""
        with self._store.reading() as connection:
            rows = connection.execute("SELECT name FROM item WHERE list = ? ORDER BY id", (SHOPPING,)).fetchall()
        return tuple(name for (name,) in rows)

    def add(self, items: Iterable[str]) -> tuple[str, ...]:
        """Those that were not on the list before. Raises ListIsFull, and adds nothing then."""
        added = []
        with self._store.writing() as connection:
            for item in items:
                row = connection.execute(
                    "INSERT OR IGNORE INTO item (list, name) VALUES (?, ?)", (SHOPPING, item.casefold())
                )
                if row.rowcount:
                    added.append(item.casefold())
            (count,) = connection.execute("SELECT count(*) FROM item WHERE list = ?", (SHOPPING,)).fetchone()
            if count > MOST:
                raise ListIsFull(f"there are {MOST} things on the list already")
        return tuple(added)

    def remove(self, items: Iterable[str]) -> tuple[str, ...]:
        """Those that were on the list."""
        removed = []
        with self._store.writing() as connection:
            for item in items:
                row = connection.execute("DELETE FROM item WHERE list = ? AND name = ?", (SHOPPING, item.casefold()))
                if row.rowcount:
                    removed.append(item.casefold())
        return tuple(removed)

    def clear(self) -> int:
        """Take everything off; how many things there were."""
        with self._store.writing() as connection:
            return connection.execute("DELETE FROM item WHERE list = ?", (SHOPPING,)).rowcount
