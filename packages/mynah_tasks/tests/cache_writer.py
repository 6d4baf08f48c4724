"""Writes into a voice cache from many threads, as one of several processes; says how many torn values it read."""

import sys
import threading
from pathlib import Path

from mynah_tasks.facades import VoiceCache

THREADS, WRITES, TEXTS = 50, 4, 5


def main() -> None:
    cache = VoiceCache(Path(sys.argv[1]))
    torn = []

    def write(number: int) -> None:
        for turn in range(WRITES):
            text = f"text {turn % TEXTS}"
            cache.put(text, "amy", bytes([number]) * 20_000)
            audio = cache.get(text, "amy")
            if audio is None or len(audio) != 20_000 or len(set(audio)) != 1:
                torn.append(audio)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(str(len(torn)))


if __name__ == "__main__":
    main()
