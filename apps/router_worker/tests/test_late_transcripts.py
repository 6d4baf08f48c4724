"""What was said, when it comes late, twice, or before its time."""

import asyncio

import pytest

from mynah_bus import Bus, Worker, conversation
from mynah_bus.settings import BusSettings
from mynah_bus.testing import serving
from mynah_contracts import Role, Transcript, TurnEvent, WakeEvent
from router_worker.settings import RouterSettings
from router_worker.worker import Conversation

QUESTION = Transcript(text="what time is it", satellite="kitchen")


@pytest.fixture
def router(tmp_path) -> Worker:
    bus = Bus(Role.ROUTER, BusSettings(instance="1", home=tmp_path))
    return Worker(bus, Conversation(bus, RouterSettings()))


async def ended(stage, phase: str) -> TurnEvent:
    """The next event that says that a turn has reached a phase."""
    async with asyncio.timeout(10):
        while (event := await stage.next(TurnEvent)).phase != phase:
            pass
    return event


@pytest.mark.req("F19", "F21", "F22")
async def test_what_was_said_in_a_turn_that_is_over_is_not_answered_again(router):
    async with serving(router) as stage:
        with conversation(turn="t1"):
            await stage.send(WakeEvent(type="wake", satellite="kitchen", cause="push_to_talk"))
            await stage.send(WakeEvent(type="cancelled", satellite="kitchen"))
            await ended(stage, "cancelled")
            await stage.send(QUESTION)
        await stage.send(QUESTION)  # by hand, in no turn

        event = await ended(stage, "done")

        assert event.turn_id != "t1"
        assert event.reply


async def test_what_was_said_is_answered_though_its_end_was_not_heard(router):
    async with serving(router) as stage:
        with conversation(turn="t1"):
            await stage.send(WakeEvent(type="wake", satellite="kitchen", cause="push_to_talk"))
            await stage.send(QUESTION)

        event = await ended(stage, "speaking")

        assert (event.turn_id, event.transcript) == ("t1", QUESTION.text)
