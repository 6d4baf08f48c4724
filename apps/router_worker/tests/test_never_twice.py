"""Nothing is answered twice, whatever comes twice or late."""

import asyncio

import pytest

from mynah_bus import Bus, BusSettings, EngineFailed, Worker
from mynah_contracts import (
    Health,
    Role,
    Vocabulary,
    WakeEvent,
)
from router_worker.settings import RouterSettings
from router_worker.worker import Conversation

TIME = "what time is it"


def settings(**changed) -> RouterSettings:
    return RouterSettings(default_satellite="kitchen", **changed)


async def test_a_second_router_refuses_to_begin_and_touches_nothing(house, tmp_path, recogniser):
    async with house() as home:
        second = Bus(Role.ROUTER, BusSettings(home=tmp_path / "second", instance="2"), link=home.stage.broker.link)
        conversation_of_two = Conversation(second, settings(), recogniser=lambda: recogniser)

        with pytest.raises(EngineFailed, match=r"^router/1 holds the conversation already \(process \d+ on [^)]+\)"):
            async with Worker(second, conversation_of_two):
                pass

        await home.write(TIME)
        assert len(home.sent(Vocabulary)) == 1
        assert not await asyncio.to_thread((tmp_path / "second" / "router").exists)


@pytest.mark.parametrize(("seconds", "leaves"), [(-1.0, True), (1.0, False)])
async def test_of_two_routers_that_began_together_the_younger_leaves(house, tmp_path, recogniser, seconds, leaves):
    async with house(without=(Role.ROUTER,)) as home:
        bus = Bus(Role.ROUTER, BusSettings(home=tmp_path, instance="2"), link=home.stage.broker.link)
        living = asyncio.create_task(Worker(bus, Conversation(bus, settings(), recogniser=lambda: recogniser)).run())
        await (await home.stage.bus(Role.GUEST)).until_up(Role.ROUTER, timeout=10)
        twin = Health(service=Role.ROUTER, instance="1", status="up", started_at=bus.started_at + seconds, seq=1)
        await home.stage.send(twin, role=Role.ROUTER)
        if leaves:
            with pytest.raises(EngineFailed, match="router/1 holds the conversation already"):
                await asyncio.wait_for(living, 10)
        else:
            await home.write(TIME)
            living.cancel()
            await asyncio.wait({living})


@pytest.mark.req("F22")
async def test_a_second_transcript_of_a_turn_is_not_answered(house):
    async with house() as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.transcribe("t", "what day is it")
        assert (await home.ended("t")).transcript == TIME

        await home.transcribe("t", "what day is it")

        await home.ask("later", TIME)
        assert len(home.said("t")) == 1
        assert home.phases("t").count("done") == 1


async def test_a_transcript_that_comes_after_the_turn_was_cancelled_is_not_answered(house):
    async with house() as home:
        await home.wake("t")
        await home.tell("t", WakeEvent(type="timeout", satellite="kitchen"))
        await home.ended("t")

        await home.transcribe("t", TIME)

        await home.ask("later", TIME)
        assert home.said("t") == []


async def test_a_turn_cannot_be_woken_a_second_time(house):
    async with house() as home:
        await home.ask("t", TIME)
        await home.wake("t")
        await home.ask("later", TIME)

        assert home.phases("t").count("listening") == 1


@pytest.mark.req("S06")
async def test_nobody_speaks_for_the_turn_of_another_satellite(house):
    async with house(rooms=("kitchen", "office")) as home:
        await home.wake("t", "kitchen")
        await home.tell("t", WakeEvent(type="heard", satellite="office"))
        await home.transcribe("t", "cancel all timers", "office")
        await home.hear("t", TIME, "kitchen")

        assert (await home.ended("t")).transcript == TIME


async def test_the_message_that_speech_has_ended_may_be_lost(house):
    async with house() as home:
        await home.wake("t")
        await home.transcribe("t", TIME)

        assert (await home.ended("t")).phase == "done"


async def test_a_router_that_is_started_in_the_middle_of_a_turn_answers_it_once(house):
    async with house() as home:
        await home.wake("t")
        await home.tell("t", WakeEvent(type="heard", satellite="kitchen"))
        await home.reached("t", "transcribing")
    async with house() as home:
        await home.transcribe("t", TIME)
        await home.transcribe("t", TIME)

        assert (await home.ended("t")).phase == "done"
        assert len(home.said("t")) == 1
