"""What the memory worker keeps and finds: an archive, and the model that turns its texts into vectors, if any.

Every method may be called from any thread while the store is open; those that are not `async` block.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from memory_worker.archive import Archive, Undescribed
from memory_worker.documents import Entry, Limits, Question, Results
from memory_worker.embedding import AsyncEmbedder, Embedder, Vectors
from memory_worker.errors import EmbedderError
from memory_worker.recovery import Recovery

log = logging.getLogger(__name__)

BATCH = 64
HIGHEST_ROW = 2**63 - 1

Offload = Callable[..., Awaitable[Any]]
"""Awaits a call that blocks: `await offload(function, *arguments)`."""


class Store:
    """One file of memories; without an embedder it is searched by words alone.

    An embedder that is not thread-safe goes into a `ModelThread`. While it fails, documents are kept without a vector
    and questions are answered by words alone.
    """

    def __init__(
        self,
        path: Path,
        embedder: Embedder | None = None,
        limits: Limits | None = None,
        *,
        now: Callable[[], float] = time.time,
        offload: Offload = asyncio.to_thread,
        patience_s: float = 5.0,
    ) -> None:
        self._embedder = embedder
        self._offload = offload
        self._archive = Archive(
            path,
            f"{embedder.name}/{embedder.dimension}" if embedder else "",
            embedder.dimension if embedder else 0,
            limits or Limits(),
            now=now,
            patience_s=patience_s,
        )

    def __enter__(self) -> Self:
        """Open the file, make it, or set a damaged one aside; blocks. Raises MemoryStoreError."""
        self._archive.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file; blocks until the calls that run are done."""
        self._archive.__exit__(*error)

    @property
    def recovery(self) -> Recovery | None:
        """What was damaged when the file was opened, and what became of it; None when all was well."""
        return self._archive.recovery

    def add(self, entry: Entry) -> bool:
        """Remember something; False when it is blank or its message is remembered already.

        Raises ValueError for a text that is too long, MemoryStoreError.
        """
        row = self._archive.insert(entry)
        if row is not None and (vectors := self._embedded(entry.text)) is not None:
            self._archive.describe([row], vectors)
        return row is not None

    async def add_async(self, entry: Entry) -> bool:
        """As `add`, without blocking the loop."""
        row = await self._offload(self._archive.insert, entry)
        if row is not None and (vectors := await self._embedded_async(entry.text)) is not None:
            await self._offload(self._archive.describe, [row], vectors)
        return row is not None

    def query(self, question: Question) -> Results:
        """What is remembered about a text; raises MemoryStoreError."""
        vectors = self._embedded(question.text) if question.strategy != "recent" else None
        return self._archive.search(question, vectors)

    async def query_async(self, question: Question) -> Results:
        """As `query`, without blocking the loop."""
        vectors = await self._embedded_async(question.text) if question.strategy != "recent" else None
        found: Results = await self._offload(self._archive.search, question, vectors)
        return found

    def forget(
        self,
        user: str = "",
        *,
        ids: Iterable[str] | None = None,
        session: str | None = None,
        before: float | None = None,
    ) -> int:
        """Remove a user's documents to which all of these apply, from the disk as well; how many there were.

        Raises ValueError when nothing is given (`forget_user` removes all), MemoryStoreError.
        """
        if ids is None and session is None and before is None:
            raise ValueError("say what is to be forgotten: ids, session or before")
        return self._archive.forget(user, ids, session, before)

    def forget_about(self, user: str, text: str) -> int:
        """Remove a user's documents that hold every word of a text, from the disk as well; how many there were.

        Raises MemoryStoreError.
        """
        return self._archive.forget_about(user, text)

    def forget_user(self, user: str = "") -> int:
        """Remove everything of a user, the name too; how many documents there were. Raises MemoryStoreError."""
        return self._archive.forget_user(user)

    def count(self, user: str | None = None) -> int:
        """How many documents one user has, or everybody together. Raises MemoryStoreError."""
        return self._archive.count(user)

    async def reconcile(self) -> int:
        """Give a vector of the present model to each document that has another or none; how many got one.

        Raises EmbedderError, MemoryStoreError; what is done by then stays done.
        """
        if self._embedder is None:
            return 0
        done, before = 0, HIGHEST_ROW
        while True:
            found: Undescribed = await self._offload(self._archive.undescribed, before, BATCH)
            batches = [batch for batch in found if batch]
            if not batches:
                return done
            # The model gets both at once: one that can runs them side by side.
            made = await asyncio.gather(*(self._embed_async([text for _, text in batch]) for batch in batches))
            for batch, vectors in zip(batches, made, strict=True):
                await self._offload(self._archive.describe, [row for row, _ in batch], vectors)
                done += len(batch)
            before = found.missing[-1][0] if found.missing else before

    def _embedded(self, text: str) -> Vectors | None:
        """The vector of a text; None without a model or when it fails."""
        if self._embedder is None:
            return None
        try:
            return self._embedder.embed([text])
        except EmbedderError as error:
            log.warning("A text goes without a vector: %s", error)
            return None

    async def _embedded_async(self, text: str) -> Vectors | None:
        if self._embedder is None:
            return None
        try:
            return await self._embed_async([text])
        except EmbedderError as error:
            log.warning("A text goes without a vector: %s", error)
            return None

    async def _embed_async(self, texts: Sequence[str]) -> Vectors:
        if isinstance(self._embedder, AsyncEmbedder):
            return await self._embedder.embed_async(texts)
        assert self._embedder is not None
        vectors: Vectors = await self._offload(self._embedder.embed, texts)
        return vectors
