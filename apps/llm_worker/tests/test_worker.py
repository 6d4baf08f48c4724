import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from llm_worker.engines import Memory, ModelError, Turn
from llm_worker.engines.choice import Choice
from llm_worker.engines.rules import Rules
from llm_worker.engines.scripted import Scripted
from llm_worker.worker import Thinking
from mynah_bus import Bus, BusSettings, MynahError, RequestFailed, Worker, conversation, current, handles
from mynah_bus.testing import Stage, serving
from mynah_bus.wire import decode
from mynah_contracts import (
    Character,
    ChatMessage,
    LlmCancel,
    LlmDelta,
    LlmRequest,
    LlmResponse,
    MemoryQuery,
    MemoryResults,
    Remembered,
    Role,
)


@dataclass
class Memories:
    """A memory that always remembers the same; waits for its gate."""

    found: list[Remembered] = field(default_factory=list)
    failure: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    queries: list[tuple[str | None, MemoryQuery]] = field(default_factory=list)

    @handles(at_once=32)
    async def query(self, query: MemoryQuery) -> MemoryResults:
        self.queries.append((current().turn, query))
        if self.failure:
            raise MynahError(self.failure)
        await self.gate.wait()
        return MemoryResults(results=self.found)


def remembering(*found: Remembered, failure: str = "") -> Memories:
    memories = Memories(list(found), failure)
    memories.gate.set()
    return memories


@dataclass
class Mind:
    """The worker at work."""

    stage: Stage
    thinking: Thinking
    model: Scripted
    worker: Worker

    async def ask(self, text: str = "hello", *, turn: str | None = None, **more) -> LlmResponse:
        with conversation(turn=turn):
            answer = await self.stage.ask(LlmRequest(text=text, **more), role=Role.ROUTER)
        assert isinstance(answer, LlmResponse)
        return answer


@asynccontextmanager
async def thinking(
    model: Scripted | Rules | None = None, memory: Memories | None = None, *, memory_within: float = 5.0
) -> AsyncIterator[Mind]:
    model = model or Scripted()
    bus = Bus(Role.LLM, BusSettings(instance="1"))
    part = Thinking(bus, Choice("scripted", "a test", lambda: model), memory_within=memory_within)
    worker = Worker(bus, part)
    others = [Worker(Role.MEMORY, memory)] if memory else []
    async with serving(*others, worker) as stage:
        yield Mind(stage, part, model, worker)


class Gate:
    """Lets as many deltas pass as it is told to."""

    def __init__(self, deltas: int = 0) -> None:
        self._free = asyncio.Semaphore(deltas)
        self.waiting = asyncio.Event()

    async def __call__(self) -> None:
        if self._free.locked():
            self.waiting.set()
        await self._free.acquire()

    def open(self) -> None:
        """Let one more pass."""
        self._free.release()


async def test_an_answer_comes_delta_by_delta_and_then_as_a_whole():
    async with thinking(Scripted(("One ", "two ", "three."), pause=partial(asyncio.sleep, 0))) as mind:
        bus = await mind.stage.bus(Role.ROUTER)

        parts = [part async for part in bus.stream(LlmRequest(text="count"))]

        *deltas, whole = parts
        assert [(part.delta, part.seq) for part in deltas if isinstance(part, LlmDelta)] == [
            ("One ", 0),
            ("two ", 1),
            ("three.", 2),
        ]
        assert isinstance(whole, LlmResponse)
        assert (whole.reply, whole.deltas, whole.engine) == ("One two three.", 3, "scripted")
        assert 0 < whole.first_ms <= whole.ms


async def test_deltas_that_come_at_once_are_sent_as_one():
    gate = Gate(3)
    async with thinking(Scripted(("One ", "two ", "three ", "four."), pause=gate)) as mind:
        bus = await mind.stage.bus(Role.ROUTER)
        deltas = []
        async for part in bus.stream(LlmRequest(text="count")):
            if isinstance(part, LlmDelta):
                deltas.append((part.delta, part.seq, part.last))
                gate.open()
            else:
                whole = part

        assert deltas == [("One two three ", 0, False), ("four.", 1, True)]
        assert (whole.reply, whole.deltas) == ("One two three four.", 2)


async def test_what_was_said_before_and_how_to_answer_reach_the_model():
    async with thinking() as mind:
        history = [ChatMessage(role="user", content="hi"), ChatMessage(role="assistant", content="hello")]
        await mind.ask("and now", history=history, max_tokens=7, temperature=0.1, system="Be brief.")

        (prompt,) = mind.model.requests
        assert prompt.history == (Turn("user", "hi"), Turn("assistant", "hello"))
        assert (prompt.max_tokens, prompt.temperature, prompt.system) == (7, 0.1, "Be brief.")


# -- memory


@pytest.mark.req("LLM-01")
async def test_what_is_remembered_reaches_the_model():
    found = (
        Remembered(text="The keys are in the drawer.", speaker="user"),
        Remembered(text="I said so.", speaker="assistant"),
        Remembered(text="stood beside it", speaker="user", context="next"),
    )
    async with thinking(memory=remembering(*found)) as mind:
        answer = await mind.ask("where are my keys", user="anna", rag_k=3)

        assert answer.rag
        assert mind.model.requests[0].memories == (
            Memory("The keys are in the drawer."),
            Memory("I said so.", "assistant"),
        )


async def test_the_memory_is_asked_in_the_turn_of_the_question_so_that_it_leaves_that_out():
    memories = remembering()
    async with thinking(memory=memories) as mind:
        await mind.ask("where are my keys", turn="t", user="anna", rag_k=3)

        ((turn, query),) = memories.queries
        assert turn == "t"
        assert (query.text, query.user, query.top_k) == ("where are my keys", "anna", 3)


@pytest.mark.req("LLM-03")
async def test_without_a_memory_the_answer_comes_at_once():
    async with asyncio.timeout(3), thinking() as mind:
        answer = await mind.ask()

        assert not answer.rag
        assert mind.model.requests[0].memories is None


@pytest.mark.req("LLM-03")
async def test_a_memory_that_fails_is_done_without():
    async with thinking(memory=remembering(failure="The disk is gone.")) as mind:
        assert not (await mind.ask()).rag


@pytest.mark.req("LLM-03")
async def test_a_memory_that_is_too_slow_is_done_without():
    slow = Memories()
    async with thinking(memory=slow, memory_within=0.05) as mind:
        answer = await mind.ask()

        assert not answer.rag
        assert mind.worker.bus.pending == 0
        slow.gate.set()


@pytest.mark.req("LLM-02")
async def test_an_answer_of_the_memory_that_comes_too_late_changes_nothing():
    slow = Memories([Remembered(text="too late")])
    async with thinking(memory=slow, memory_within=0.05) as mind:
        await mind.ask()
        slow.gate.set()
        assert (await mind.ask()).rag
        assert mind.model.requests[0].memories is None


async def test_the_memory_is_not_asked_when_nobody_wants_that():
    memories = remembering(Remembered(text="x"))
    async with thinking(memory=memories) as mind:
        assert not (await mind.ask(use_rag=False)).rag
        assert memories.queries == []


async def test_a_text_that_is_too_long_for_the_memory_is_answered():
    memories = remembering()
    async with thinking(memory=memories) as mind:
        await mind.ask("x" * 100_000)

        assert len(memories.queries[0][1].text) == 20_000
        assert len(mind.model.requests[0].text) == 100_000


# -- cancelling


async def test_cancel_stops_the_stream_within_one_delta_and_leaves_nothing_behind():
    gate = Gate(2)
    async with thinking(Scripted(("a", "b", "c", "d"), pause=gate)) as mind:
        asking = asyncio.create_task(mind.ask(turn="t", use_rag=False))
        await gate.waiting.wait()

        await mind.stage.send(LlmCancel(turn_id="t"))

        with pytest.raises(RequestFailed) as failure:
            await asking
        assert failure.value.code == "cancelled"
        assert mind.thinking._by_turn == {}
        (sent,) = (packet for packet in mind.stage.broker.published if packet.topic == "mynah/llm/stream")
        assert decode(sent, LlmDelta).message == LlmDelta(delta="ab", seq=0)
        assert "mynah/system/error" not in {packet.topic for packet in mind.stage.broker.published}


async def test_cancel_while_the_memory_is_asked_stops_that_too():
    memories = Memories()
    async with thinking(memory=memories) as mind:
        asking = asyncio.create_task(mind.ask(turn="t"))
        await mind.stage.received(MemoryQuery)

        await mind.stage.send(LlmCancel(turn_id="t"))

        with pytest.raises(RequestFailed):
            await asking
        assert mind.model.requests == []
        assert mind.worker.bus.pending == 0
        memories.gate.set()


@pytest.mark.req("F23")
async def test_a_request_of_a_turn_that_was_cancelled_before_is_not_begun():
    async with thinking() as mind:
        await mind.stage.send(LlmCancel(turn_id="t"))

        with pytest.raises(RequestFailed) as failure:
            await mind.ask(turn="t")
        assert failure.value.code == "cancelled"
        assert mind.model.requests == []
        assert "mynah/system/error" not in {packet.topic for packet in mind.stage.broker.published}


async def test_cancelling_one_turn_leaves_the_others_alone():
    gate = Gate()
    async with thinking(Scripted(("done",), pause=gate)) as mind:
        others = [asyncio.create_task(mind.ask(turn=f"t{number}", use_rag=False)) for number in range(3)]
        await gate.waiting.wait()
        await mind.stage.send(LlmCancel(turn_id="t1"))
        with pytest.raises(RequestFailed):
            await others[1]

        for _ in range(3):
            gate._free.release()

        assert [(await others[number]).reply for number in (0, 2)] == ["done", "done"]
        assert mind.thinking._by_turn == {}


async def test_cancelling_what_nobody_asked_is_nothing():
    async with thinking() as mind:
        await mind.stage.send(LlmCancel(turn_id="unknown"))

        assert (await mind.ask(turn="t")).reply


# -- much, and failing


@pytest.mark.req("LLM-07")
async def test_twenty_requests_are_thought_about_at_the_same_time():
    arrived = 0
    everybody = asyncio.Event()

    async def pause() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 20:
            everybody.set()
        await everybody.wait()

    async with thinking(Scripted(("done",), pause=pause)) as mind:
        answers = await asyncio.gather(*(mind.ask(f"{number}", turn=f"t{number}") for number in range(20)))

        assert [answer.reply for answer in answers] == ["done"] * 20


async def test_a_model_that_fails_in_the_middle_says_why_after_what_it_said():
    async with thinking(Scripted(("One ",), failure=ModelError("The server is gone."))) as mind:
        bus = await mind.stage.bus(Role.ROUTER)
        stream = bus.stream(LlmRequest(text="count"))

        assert await anext(stream) == LlmDelta(delta="One ", seq=0)
        with pytest.raises(RequestFailed, match=r"The server is gone\.") as failure:
            await anext(stream)
        assert failure.value.code == "engine"
        assert mind.thinking._by_turn == {}


async def test_the_embedded_engine_answers_from_what_is_remembered():
    keys = Remembered(text="my keys are in the drawer", speaker="user")
    async with thinking(Rules(), remembering(keys)) as mind:
        assert "drawer" in (await mind.ask("where are my keys")).reply
        assert "42" in (await mind.ask("what is twelve plus thirty")).reply


# -- the character


async def test_the_assistant_is_who_its_character_says():
    async with thinking() as mind:
        await mind.ask("before")
        await mind.stage.send(Character(name="Marvin", system_prompt="You are gloomy."))
        await mind.ask("after")
        await mind.ask("otherwise", system="You are glad.")

        assert [prompt.system for prompt in mind.model.requests] == ["", "You are gloomy.", "You are glad."]
