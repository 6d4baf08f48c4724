import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from mynah_bus import Worker, handles
from mynah_bus.testing import Stage, serving
from mynah_contracts import LlmCancel, Role, Said, SatelliteControl, Say, TurnEvent
from router_worker.live import Live
from router_worker.tasks import Tasks
from router_worker.turn import Limits, State, Turn


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with serving() as stage:
        yield stage


class Mute:
    """A voice that hangs."""

    @handles
    async def say(self, say: Say) -> Said:
        await asyncio.Event().wait()
        return Said(n=say.n)


@pytest.fixture
async def voiceless() -> AsyncIterator[Stage]:
    async with serving(Worker(Role.TTS, Mute())) as stage:
        yield stage


async def begun(
    stage: Stage,
    *,
    satellite: str = "kitchen",
    typed: str | None = "hello",
    clock: Callable[[], int] = time.monotonic_ns,
    **limits: float,
) -> Live:
    bus = await stage.bus(Role.ROUTER)
    return Live(
        bus,
        Turn(clock, typed=typed, limits=Limits(**limits)),
        identifier="t",
        session="s",
        satellite=satellite,
        cause="text",
        on_end=lambda live: None,
    )


async def test_a_cancelled_question_in_writing_has_no_satellite_to_stop(stage):
    live = await begun(stage, satellite="")

    live.cancel()

    assert live.ended.is_set()
    assert (await stage.next(TurnEvent)).phase == "thinking"
    assert (await stage.next(TurnEvent)).phase == "cancelled"
    assert "satellite" not in "".join(packet.topic for packet in stage.broker.published)


async def test_what_is_over_is_told_once(stage):
    live = await begun(stage)
    live.fail("it broke")
    live.cancel()
    live.fail("again")

    await stage.next(TurnEvent)
    ended = await stage.received(TurnEvent)
    assert (ended.message.phase, ended.message.error) == ("failed", "I encountered an error: it broke.")
    assert (ended.envelope.turn, ended.envelope.session) == ("t", "s")
    assert len([p for p in stage.broker.published if p.topic == "mynah/turn/event"]) == 2


async def test_a_turn_that_nobody_goes_on_with_ends_by_itself_and_silences_its_satellite(stage):
    live = await begun(stage, typed=None, listening_s=0.01)

    await live.ended.wait()

    assert (await stage.next(SatelliteControl)).action == "stop"


def test_what_is_due_at_once_holds_nothing_up_on_the_loop_of_a_worker():
    async def say() -> State:
        async with serving() as stage:
            live = await begun(stage, filler_s=0.0001)
            live.say("Penguins live in the south.", by="llm")
            return live.turn.state

    assert uvloop.run(say()) is State.SPEAKING


async def test_a_turn_whose_clock_goes_wrong_ends_with_an_excuse(stage):
    broken: list[Exception] = []

    def clock() -> int:
        if broken:
            raise broken.pop()
        return time.monotonic_ns()

    live = await begun(stage, clock=clock, filler_s=0.01)
    broken.append(ArithmeticError("the clock is wrong"))

    await live.ended.wait()

    assert live.error == "I encountered an error: something went wrong."


async def test_a_voice_that_says_nothing_ends_the_turn_and_the_satellite_is_told(voiceless):
    live = await begun(voiceless, say_s=0.01)
    live.say("Penguins live in the south.", by="llm")
    live.complete("llm")

    await live.speak()

    assert live.turn.state is State.FAILED
    assert "I have no voice" in live.error
    finish = await voiceless.next(SatelliteControl)
    assert (finish.action, finish.sentences, finish.reason) == ("finish", 0, live.error)


async def test_an_answer_that_stops_in_the_middle_fails_within_the_silence_that_is_allowed(stage):
    live = await begun(stage, silence_s=0.01)
    live.say("Let me see.", by="llm")

    await live.ended.wait()

    assert live.error == "I encountered an error: that took too long."


async def test_whoever_thinks_is_stopped_when_nobody_wants_the_answer(stage):
    live = await begun(stage)
    thinking = asyncio.create_task(asyncio.Event().wait())
    live.think(thinking)

    live.cancel()

    assert (await stage.next(LlmCancel)).turn_id == "t"
    with pytest.raises(asyncio.CancelledError):
        await thinking


async def test_a_task_that_goes_wrong_is_told_of_and_stops_no_other(caplog):
    failed = asyncio.Event()
    others = asyncio.Event()

    async def wrong() -> None:
        raise ZeroDivisionError

    async with Tasks() as tasks:
        other = tasks.start(_wait_for(others), "other")
        tasks.start(wrong(), "wrong", failed=failed.set)
        await failed.wait()
        assert not other.done()

    assert other.cancelled()
    assert "wrong went wrong" in caplog.text


async def _wait_for(event: asyncio.Event) -> None:
    await event.wait()
