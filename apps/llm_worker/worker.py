"""Answers texts: with what is remembered about them, delta by delta."""

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Final, Self, cast

from llm_worker.engines import Memory, ModelError, Prompt, Turn
from llm_worker.engines.choice import Choice, choose
from llm_worker.joined import joined
from llm_worker.settings import LlmSettings
from mynah_bus import Bus, EngineFailed, RequestFailed, Worker, current, handles
from mynah_contracts import Character, LlmCancel, LlmDelta, LlmRequest, LlmResponse, MemoryQuery, MemoryResults, Role

log = logging.getLogger(__name__)

AT_ONCE: Final = 32
CANCELLED: Final = 1_000
"""Turns whose end is remembered, so that no request of theirs that still waits is begun."""
LONGEST_QUERY: Final = 20_000
"""Characters of a text that the memory is asked about."""


class Thinking:
    """Answers with an engine; knows the assistant's character and asks the memory first."""

    def __init__(self, bus: Bus, choice: Choice, *, memory_within: float = 5.0) -> None:
        self._bus = bus
        self._memory_within = memory_within
        self._choice = choice
        self._model = choice.make()
        self._stack = AsyncExitStack()
        self._by_turn: dict[str, set[asyncio.Task[object]]] = {}
        self._cancelled: OrderedDict[str, None] = OrderedDict()
        self._system = ""
        self.engine = choice.name

    async def __aenter__(self) -> Self:
        try:
            await self._stack.enter_async_context(self._model)
        except ModelError as error:
            raise EngineFailed(str(error)) from error
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
        with self._cancellable(current().turn):
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
                async for delta, is_last in joined(self._model.stream(prompt)):
                    first = first or time.perf_counter()
                    yield LlmDelta(delta=delta, seq=len(deltas), last=is_last)
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
        """Stop thinking about a turn, and do not begin again."""
        self._cancelled[cancel.turn_id] = None
        if len(self._cancelled) > CANCELLED:
            self._cancelled.popitem(last=False)
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
        query = MemoryQuery(text=request.text[:LONGEST_QUERY], top_k=request.rag_k, user=request.user)
        try:
            found = await self._bus.request(query, MemoryResults, timeout=self._memory_within)
        except RequestFailed as error:
            log.info("Answering without memory: %s", error)
            return None
        return tuple(
            Memory(one.text, "assistant" if one.speaker == "assistant" else "user")
            for one in found.results
            if one.context == "target"
        )

    @contextmanager
    def _cancellable(self, turn: str | None) -> Iterator[None]:
        """Have the task at work in the register of its turn, while the block lasts."""
        if turn is None:
            yield
            return
        if turn in self._cancelled:
            raise asyncio.CancelledError  # as if it had begun: what nobody wants any more has not failed
        task = cast("asyncio.Task[object]", asyncio.current_task())
        self._by_turn.setdefault(turn, set()).add(task)
        try:
            yield
        finally:
            self._by_turn[turn].discard(task)
            if not self._by_turn[turn]:
                del self._by_turn[turn]


def build() -> Worker:
    """The worker as it runs."""
    settings = LlmSettings()
    bus = Bus(Role.LLM)
    choice = choose(settings.engine, settings.base_url or None)
    return Worker(bus, Thinking(bus, choice, memory_within=settings.memory_within))
