"""A worker process for tests that kill, freeze and cut off real ones."""

from typing import Self

from mynah_bus import BusSettings, Worker, handles, run
from mynah_bus.tests.puppets import found
from mynah_contracts import MemoryQuery, MemoryResults, Role


class Echo:
    """Finds what it is asked for."""

    engine = "echo"

    @handles(at_once=10)
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        """Say it back."""
        return found(query.text)


class Notebook:
    """Keeps something."""

    async def __aenter__(self) -> Self:
        """Write it down."""
        (BusSettings().home / "kept").touch()
        return self

    async def __aexit__(self, *error: object) -> None: ...


def build() -> Worker:
    """The worker as it runs."""
    return Worker(Role.MEMORY, Notebook(), Echo())


if __name__ == "__main__":
    run(build)
