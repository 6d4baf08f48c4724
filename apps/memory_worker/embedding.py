"""Vectors that lie close together where texts mean the same: what an embedding model offers, and a stand-in for one."""

import asyncio
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from memory_worker.words import words

Vectors = NDArray[np.float32]
"""One row for each text, each row of length 1; shape (texts, dimension)."""


class Embedder(Protocol):
    """A model that turns texts into vectors; blocks. Raises EmbedderError."""

    @property
    def name(self) -> str:
        """Which model this is: vectors of another name are made again."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts, in their order."""
        ...


@runtime_checkable
class AsyncEmbedder(Protocol):
    """A model that can be awaited as well."""

    async def embed_async(self, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts, in their order."""
        ...


class ModelThread:
    """Runs a model that is not thread-safe in one thread of its own, one call after the other."""

    def __init__(self, embedder: Embedder) -> None:
        self.name = embedder.name
        self.dimension = embedder.dimension
        self._embedder = embedder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedder")

    def __enter__(self) -> Self:
        """Nothing starts before the first call."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Wait for the last call."""
        self._thread.shutdown()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts; blocks until the calls before it are done, too."""
        return self._thread.submit(self._embedder.embed, texts).result()

    async def embed_async(self, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts, without blocking the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._embedder.embed, texts)


class HashedWords:
    """A stand-in for a model, for tests: texts are alike that share words, or what people mean by them.

    `meanings` maps a word to the word that it is taken for (`automobile` to `car`).
    """

    def __init__(self, dimension: int = 384, meanings: dict[str, str] | None = None) -> None:
        self.name = "hashed-words"
        self.dimension = dimension
        self._meanings = meanings or {}

    def embed(self, texts: Sequence[str]) -> Vectors:
        """The vectors of some texts; that of no word is zero."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in words(text):
                vectors[row] += self._direction(self._meanings.get(word, word))
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors /= np.where(lengths > 0, lengths, 1)
        return vectors

    def _direction(self, word: str) -> NDArray[np.float32]:
        chance = np.random.default_rng(zlib.crc32(word.encode()))
        return chance.standard_normal(self.dimension, np.float32)
