"""Answers texts: with what is remembered about them, delta by delta."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final, Self, cast

from llm_worker.engines import Memory, ModelError, Prompt, Turn
from llm_worker.engines.choice import Choice, choose
from llm_worker.settings import LlmSettings
from mynah_bus import Bus, EngineFailed, RequestFailed, Worker, current, handles
from mynah_contracts import Character, LlmCancel, LlmDelta, LlmRequest, LlmResponse, MemoryQuery, MemoryResults, Role

log = logging.getLogger(__name__)

RAG_TIMEOUT: Final = 5.0
AT_ONCE: Final = 8


class Thinking:
    """Answers with an engine; knows the assistant's character and asks the memory first."""

    def __init__(self, bus: Bus, choice: Choice) -> None:
        self._bus = bus
        self._choice = choice
        self._model = choice.make()
        self._stack = AsyncExitStack()
        self._by_turn: dict[str, set[asyncio.Task[object]]] = {}
        self._system = ""
        self.engine = choice.name

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._model)
        log.info("%s", self._choice.why)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    @handles(at_once=AT_ONCE)
    async def answer(self, request: LlmRequest) -> AsyncIterator[LlmDelta | LlmResponse]:
        """Stream the answer, then say all of it."""
        began = time.perf_counter()
        first = 0.0
        deltas: list[str] = []
        with self._cancellable():
            memories = await self._remembered(request)
            prompt = Prompt(
                text=request.text,
                history=tuple(Turn(said.role, said.content) for said in request.history),
                system=request.system or self._system,
                memories=memories,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
            )
            try:
                async for delta in self._model.stream(prompt):
                    first = first or time.perf_counter()
                    yield LlmDelta(delta=delta, seq=len(deltas))
                    deltas.append(delta)
            except ModelError as error:
                raise EngineFailed(str(error)) from error
        yield LlmResponse(
            reply="".join(deltas),
            engine=self._choice.name,
            rag=bool(memories),
            deltas=len(deltas),
            first_ms=1e3 * (first - began) if first else 0.0,
            ms=1e3 * (time.perf_counter() - began),
        )

    @handles
    async def cancel(self, cancel: LlmCancel) -> None:
        """Stop thinking about a turn."""
        for task in self._by_turn.get(cancel.turn_id, ()):
            task.cancel()

    @handles
    async def know_character(self, character: Character) -> None:
        """Be who the assistant is."""
        self._system = character.system_prompt

    async def _remembered(self, request: LlmRequest) -> tuple[Memory, ...] | None:
        """What is remembered about the text; None when the memory cannot be asked."""
        if not request.use_rag:
            return None
        query = MemoryQuery(text=request.text, top_k=request.rag_k, user=request.user)
        try:
            found = await self._bus.request(query, MemoryResults, timeout=RAG_TIMEOUT)
        except RequestFailed as error:
            log.info("Answering without memory: %s", error)
            return None
        return tuple(
            Memory(one.text, "assistant" if one.speaker == "assistant" else "user")
            for one in found.results
            if one.context == "target"
        )

    def _cancellable(self) -> "_Entry":
        return _Entry(self._by_turn, current().turn)


class _Entry:
    """The task at work in the register of its turn, while the block lasts."""

    def __init__(self, register: dict[str, set[asyncio.Task[object]]], turn: str | None) -> None:
        self._register = register
        self._turn = turn
        self._task = cast("asyncio.Task[object]", asyncio.current_task())

    def __enter__(self) -> None:
        if self._turn is not None:
            self._register.setdefault(self._turn, set()).add(self._task)

    def __exit__(self, *error: object) -> None:
        if self._turn is not None:
            tasks = self._register[self._turn]
            tasks.discard(self._task)
            if not tasks:
                del self._register[self._turn]


def build() -> Worker:
    """The worker as it runs."""
    settings = LlmSettings()
    bus = Bus(Role.LLM)
    return Worker(bus, Thinking(bus, choose(settings.engine, settings.base_url or None)))
