"""What the tests of this room share."""

from collections.abc import Callable

import pytest

from memory_worker.store import Store

COUNT = """
SELECT count(*) FROM documents LEFT JOIN users ON users.number = documents.id >> 32 WHERE ?1 IS NULL OR users.name = ?1
"""


@pytest.fixture(scope="session")
def count() -> Callable[..., int]:
    """How many documents a store holds, of one user or of everybody: `count(store, user)`."""

    def count(store: Store, user: str | None = None) -> int:
        with store._database.read() as connection:
            return connection.execute(COUNT, (user,)).fetchone()[0]

    return count
