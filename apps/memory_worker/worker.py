"""Remembers what is said, answers what is remembered."""

import asyncio
import logging
import time
from pathlib import Path
from typing import Self

from memory_worker.documents import Entry, Limits, Question
from memory_worker.errors import MemoryStoreError
from memory_worker.persona import Persons
from memory_worker.settings import MemorySettings
from memory_worker.store import Store
from mynah_bus import Bus, EngineFailed, MynahError, Worker, current, handles, in_thread, new_id
from mynah_contracts import (
    MemoryChanged,
    MemoryForget,
    MemoryQuery,
    MemoryResults,
    MemoryStore,
    Remembered,
    Role,
    Say,
    Transcript,
)

log = logging.getLogger(__name__)

DAY_S = 86_400
OVERHEARD = 1_000
"""Messages that may wait to be remembered."""


class Memory:
    """Keeps and finds memories in one file."""

    engine = "bm25"

    def __init__(self, path: Path, limits: Limits, *, listens: bool = True) -> None:
        self._path = path
        self._store = Store(path, limits)
        self._listens = listens

    async def __aenter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            await asyncio.to_thread(self._store.__enter__)
        except MemoryStoreError as error:
            raise EngineFailed(str(error)) from error
        if self._store.recovery is not None:
            log.error("%s", self._store.recovery)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.to_thread(self._store.__exit__, *error)

    @handles(at_once=4)
    async def query(self, query: MemoryQuery) -> MemoryResults:
        """Find what is remembered about a text, but for the turn that asks."""
        question = Question(
            text=query.text,
            user=query.user,
            strategy=query.strategy,
            top_k=query.top_k,
            max_tokens=query.max_tokens,
            context_window=query.context_window,
            without_turn=current().turn or "",
        )
        began = time.perf_counter()
        try:
            found = await in_thread(self._store.query, question)
        except MemoryStoreError as error:
            raise EngineFailed(str(error)) from error
        return MemoryResults(
            results=[
                Remembered(
                    text=one.text,
                    score=one.score,
                    ts=one.ts,
                    speaker=one.speaker,
                    context=one.context_type,
                    tokens=one.token_count,
                )
                for one in found.documents
            ],
            strategy=found.strategy_used,
            tokens=found.total_tokens,
            truncated=found.truncated,
            ms=1e3 * (time.perf_counter() - began),
        )

    @handles(waiting=OVERHEARD)
    async def store(self, wanted: MemoryStore) -> MemoryChanged:
        """Remember a text that was sent for it; from the router, it is what was said in writing."""
        if not self._listens and current().source.startswith(f"{Role.ROUTER.value}/"):
            return MemoryChanged()
        stored = await self._remember(
            wanted.text, "assistant" if wanted.speaker == "assistant" else "user", wanted.user
        )
        return MemoryChanged(stored=int(stored))

    @handles
    async def forget(self, wanted: MemoryForget) -> MemoryChanged:
        """Forget what holds every word of a text, or everything of a user."""
        try:
            if wanted.text is None:
                forgotten = await in_thread(self._store.forget_user, wanted.user)
            else:
                forgotten = await in_thread(self._store.forget_about, wanted.user, wanted.text)
        except MemoryStoreError as error:
            raise EngineFailed(str(error)) from error
        return MemoryChanged(forgotten=forgotten)

    @handles(waiting=OVERHEARD)
    async def overhear_speech(self, transcript: Transcript) -> None:
        """Remember what somebody said."""
        if self._listens and transcript.text.strip():
            await self._remember(transcript.text, "user")

    @handles(waiting=OVERHEARD)
    async def overhear_answer(self, say: Say) -> None:
        """Remember what the assistant answers."""
        if self._listens and say.purpose == "answer" and say.text.strip():
            await self._remember(say.text, "assistant")

    async def _remember(self, text: str, speaker: str, user: str = "") -> bool:
        context = current()
        entry = Entry(
            id=context.message_id or new_id(),
            text=text,
            speaker=speaker,
            ts=time.time(),
            session=context.session or "",
            turn=context.turn or "",
            user=user,
        )
        try:
            return await in_thread(self._store.add, entry)
        except MemoryStoreError as error:
            raise EngineFailed(str(error)) from error
        except ValueError as error:
            raise MynahError(str(error), code="refused") from error


def build() -> Worker:
    """The worker as it runs."""
    settings = MemorySettings()
    bus = Bus(Role.MEMORY)
    age = settings.age_days * DAY_S if settings.age_days else None
    limits = Limits(documents=settings.documents, age_s=age)
    folder = bus.settings.home / "memory"
    memory = Memory(folder / "memory.sqlite", limits, listens=settings.listen)
    return Worker(bus, memory, Persons(folder / "characters.json"))
