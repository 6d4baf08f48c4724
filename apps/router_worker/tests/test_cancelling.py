"""Whoever wants silence gets it."""

import asyncio

import pytest

from mynah_contracts import (
    LlmCancel,
    PlaybackControl,
    PlaybackStatus,
    Role,
    SatelliteControl,
    Say,
)

TIME = "what time is it"
STORY = "tell me a story about penguins"


async def a_model_that_hangs(home, turn: str = "t", satellite: str = "kitchen") -> None:
    await home.wake(turn, satellite)
    await home.hear(turn, STORY, satellite)
    await home.reached(turn, "thinking")


@pytest.mark.req("F23")
async def test_stop_while_thinking_stops_the_model_and_the_turn(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()})) as home:
        await a_model_that_hangs(home)

        await home.tell("elsewhere", PlaybackControl(action="stop", satellite="kitchen"))

        assert (await home.ended("t")).phase == "cancelled"
        assert (await home.stage.next(LlmCancel)).turn_id == "t"
        assert (await home.stage.received(SatelliteControl)).message.action == "stop"
        assert home.said() == []


async def test_stop_at_another_satellite_stops_nothing_here(house, model):
    go = asyncio.Event()
    async with house(model=model(pause_before={0: go}), rooms=("kitchen", "office")) as home:
        await a_model_that_hangs(home)
        await home.tell("elsewhere", PlaybackControl(action="stop", satellite="office"))
        await home.ask("later", TIME, "office")

        go.set()

        assert (await home.ended("t")).phase == "done"


async def test_a_new_wake_at_the_same_satellite_ends_what_was_asked_there(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), rooms=("kitchen", "office")) as home:
        await a_model_that_hangs(home, "t1", "kitchen")
        await a_model_that_hangs(home, "t2", "office")

        await home.wake("t3", "kitchen")

        assert (await home.ended("t1")).phase == "cancelled"
        assert (await home.stage.next(LlmCancel)).turn_id == "t1"
        assert home.phases("t2") == ["listening", "transcribing", "thinking"]


async def test_a_sentence_that_is_being_made_is_the_last_of_a_cancelled_turn(house, model):
    async with house(model=model(deltas=("One. ", "Two, which is a sentence that is long enough. ", "Three."))) as home:
        home.voice.gate.clear()
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.stage.next(Say)
        await home.wake("t2")
        await home.ended("t1")
        home.voice.gate.set()
        await home.hear("t2", TIME)
        await home.ended("t2")

        assert home.said("t1") == ["One."]
        assert [c.action for turn, c in home.sent(SatelliteControl) if turn == "t1"] == ["stop"]


async def test_the_history_keeps_what_was_heard(house, model):
    brain = model(deltas=("Penguins live in the south. They like fish very much, and they walk upright.",))
    async with house(model=brain, deaf=True) as home:
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.control("finish")
        await home.tell("t1", PlaybackStatus(event="speaking_end", satellite="kitchen", n=0))
        await home.tell("t1", PlaybackStatus(event="stopped", satellite="kitchen", n=1, heard_ms=500))
        assert (await home.ended("t1")).phase == "cancelled"

        await home.wake("t2")
        await home.hear("t2", "and whales")
        await home.reached("t2", "speaking")

        said = [(message.role, message.content) for message in home.model.requests[1].history]
        assert said == [("user", STORY), ("assistant", "Penguins live in the south. They like fish very")]


async def test_stop_keeps_what_was_heard_before_it(house, model):
    brain = model(deltas=("Penguins live in the south where it is cold",))
    async with house(model=brain, deaf=True) as home:
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.control("finish")

        await home.tell("elsewhere", PlaybackControl(action="stop"))
        await home.tell("t1", PlaybackStatus(event="stopped", satellite="kitchen", n=0, heard_ms=500))

        assert (await home.ended("t1")).phase == "cancelled"
        await home.wake("t2")
        await home.hear("t2", "and whales")
        await home.reached("t2", "speaking")
        assert home.model.requests[1].history[1].content == "Penguins live in the"


async def test_stop_ends_a_turn_whose_satellite_does_not_answer(house):
    async with house(deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.reached("t", "speaking")

        await home.tell("elsewhere", PlaybackControl(action="stop"))

        assert (await home.ended("t")).phase == "cancelled"


async def test_a_sentence_without_sound_can_be_cut(house, voice):
    voice.audio_ms = 0.0
    async with house(voice=voice, deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.control("finish")
        await home.tell("t", PlaybackStatus(event="stopped", satellite="kitchen", n=0, heard_ms=0))

        assert (await home.ended("t")).phase == "cancelled"


@pytest.mark.req("TTS-04")
async def test_a_turn_that_was_paused_goes_on_when_it_is_resumed(house):
    async with house(deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.control("finish")
        for event in ("paused", "resumed", "speaking_end"):
            await home.tell("t", PlaybackStatus(event=event, satellite="kitchen", n=0))

        assert (await home.ended("t")).phase == "done"


async def test_what_was_asked_at_a_satellite_that_is_gone_fails(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), rooms=()) as home:
        async with home.room("attic"):
            await a_model_that_hangs(home, "t", "attic")

        ended = await home.ended("t")

        assert (ended.phase, ended.error) == ("failed", "I encountered an error: the satellite is gone.")


async def test_the_router_can_be_stopped_while_questions_wait(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), without=(Role.TTS,)) as home:
        await a_model_that_hangs(home)

    assert home.phases("t")[-1] == "cancelled"
