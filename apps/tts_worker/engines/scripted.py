"""A speech engine for tests and demonstrations: a tone for each word, the same one every time."""

import threading
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Self

import numpy as np

from tts_worker.engines import Chunk, SpeechError, UnknownVoiceError

SAMPLE_RATE = 16_000
TONE_S = 0.1
GAP_S = 0.05
AMPLITUDE = 8_000
LOWEST_HZ, HIGHEST_HZ = 200, 2_000
KNOWN_TONES = 100


class Scripted:
    """Plays a chunk of 150 ms for each word: a tone of `pitch_of(word)`, then silence.

    `failure` is raised instead of the chunk numbered `after`, counted from 0; with `hangs`, that chunk blocks until
    the engine is stopped or closed.
    """

    sample_rate = SAMPLE_RATE

    def __init__(self, *, failure: SpeechError | None = None, hangs: bool = False, after: int = 0) -> None:
        self._failure = failure
        self._hangs = hangs
        self._after = after
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        """Open; there is nothing to load."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop, so that no thread hangs."""
        self.stop()

    def voices(self) -> tuple[str, ...]:
        """Two voices that sound alike."""
        return ("high", "low")

    def synthesize(self, text: str, voice: str | None = None) -> Iterator[Chunk]:
        """A tone for each word; raises UnknownVoiceError for another voice than those of `voices`."""
        if voice is not None and voice not in self.voices():
            raise UnknownVoiceError(f"there is no voice named {voice[:80]!r}")
        return self._play(text.split(), self._stopped)

    def stop(self) -> None:
        """End everything that is being played."""
        stopped, self._stopped = self._stopped, threading.Event()
        stopped.set()

    def _play(self, words: list[str], stopped: threading.Event) -> Iterator[Chunk]:
        for index, word in enumerate(words):
            if index == self._after and self._failure is not None:
                raise self._failure
            if index == self._after and self._hangs:
                stopped.wait()
            if stopped.is_set():
                return
            yield tone(pitch_of(word))


def pitch_of(word: str) -> int:
    """The frequency in Hz by which a word is known."""
    return LOWEST_HZ + zlib.crc32(word.encode(errors="replace")) % (HIGHEST_HZ - LOWEST_HZ)


@lru_cache(maxsize=KNOWN_TONES)
def tone(hertz: float) -> Chunk:
    """100 ms of a tone and 50 ms of silence; not to be written to."""
    times = np.arange(round(TONE_S * SAMPLE_RATE)) / SAMPLE_RATE
    silence = np.zeros(round(GAP_S * SAMPLE_RATE))
    samples = np.concatenate((AMPLITUDE * np.sin(2 * np.pi * hertz * times), silence)).astype(np.int16)
    samples.flags.writeable = False
    return samples
