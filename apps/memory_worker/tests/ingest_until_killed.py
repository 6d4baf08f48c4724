"""Fills a memory until it is killed, and says what it has kept: `python ingest_until_killed.py memory.db first`."""

import itertools
import sys
from pathlib import Path

from memory_worker.documents import Entry
from memory_worker.store import Store


def main() -> None:
    """Add documents for ever; print the number of each once it is kept."""
    print("opening", flush=True)  # noqa: T201  # this is how it tells
    with Store(Path(sys.argv[1])) as store:
        for number in itertools.count(int(sys.argv[2])):
            store.add(Entry(f"m{number}", f"tea number {number} " * 20, "user", float(number)))
            print(number, flush=True)  # noqa: T201  # likewise


main()
