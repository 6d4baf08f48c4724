"""The language engine for tests: the given deltas at the given pace, failures and hangs on demand."""

import asyncio

import pytest

from llm_worker.engines import ModelError, Prompt
from llm_worker.engines.choice import choose
from llm_worker.engines.scripted import Scripted


async def heard(engine):
    return [delta async for delta in engine.stream(Prompt("hello"))]


async def test_it_says_what_it_was_given_and_keeps_what_it_was_asked():
    async with Scripted(["Hi", " you."]) as engine:
        assert await heard(engine) == ["Hi", " you."]
        assert engine.requests == [Prompt("hello")]


async def test_each_delta_waits_for_its_pause():
    allowed = asyncio.Semaphore(0)
    async with Scripted(["one", "two"], pause=allowed.acquire) as engine:
        stream = engine.stream(Prompt("hello"))
        allowed.release()
        assert await anext(stream) == "one"
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.wait([waiting], timeout=0)
        assert not waiting.done()
        allowed.release()
        assert await waiting == "two"


async def test_it_fails_after_its_deltas_when_it_is_told_to():
    async with Scripted(["one"], failure=ModelError("the model broke")) as engine:
        stream = engine.stream(Prompt("hello"))
        assert await anext(stream) == "one"
        with pytest.raises(ModelError, match="the model broke"):
            await anext(stream)


async def test_a_hang_ends_with_cancellation():
    async with Scripted([], hangs=True) as engine:
        waiting = asyncio.ensure_future(heard(engine))
        done, _ = await asyncio.wait([waiting], timeout=0)
        assert not done
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_the_choice_can_be_the_scripted_engine():
    async with choose("scripted").make() as engine:
        assert "".join(await heard(engine)) == "This is a scripted answer."
