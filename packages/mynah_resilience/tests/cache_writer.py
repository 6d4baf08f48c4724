"""Uses a cache: `hammer DIRECTORY SEED` prints how many torn values it read, `for-ever DIRECTORY` only writes."""

import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

from mynah_resilience import FileCache

SIZE = 50_000


def hammer(directory: Path, seed: int) -> int:
    """Write and read shared keys; how many values were torn."""
    cache = FileCache(directory)
    torn = 0
    for number in range(10):
        key = f"phrase {(seed + number) % 5}"
        value = cache.get(key)
        torn += value is not None and value != value[:1] * SIZE
        cache.put(key, bytes([seed % 256]) * SIZE)
    return torn


def main() -> None:
    directory = Path(sys.argv[2])
    if sys.argv[1] == "hammer":
        seed = int(sys.argv[3])
        with ThreadPoolExecutor(50) as threads:
            sys.stdout.write(f"{sum(threads.map(hammer, [directory] * 50, range(seed, seed + 50)))}\n")
        return
    cache = FileCache(directory)
    for number in count():
        cache.put("phrase", bytes([number % 256]) * 1_000_000)
        sys.stdout.write("put\n")
        sys.stdout.flush()


main()
