"""A room, and what it does when nobody looks after its turn."""

import asyncio

import numpy as np
import pytest

from mynah_audio.pcm import SAMPLE_RATE, to_bytes
from mynah_bus import Bus, Worker, conversation
from mynah_bus.settings import BusSettings
from mynah_bus.testing import serving
from mynah_contracts import Health, PlaybackStatus, Role, SatelliteControl, Speech, TurnEvent, WakeEvent
from satellite.listener import Listener
from satellite.room import BROKEN_OFF, NO_ROUTER, NO_SIGN, ROUTER_GONE, Room
from satellite.sinks import NullSink

SENTENCE = to_bytes(np.full(SAMPLE_RATE, 1_000, np.int16))


@pytest.fixture(autouse=True)
def loop_stays_awake():
    """A worker reads its settings and its version as it starts."""


class Silence:
    """A source that never gives a frame."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def __aiter__(self):
        await asyncio.Event().wait()
        yield


class NoVoice:
    """Hears nobody."""

    def push(self, samples):
        return 0.0

    def reset(self):
        pass


class Kitchen:
    """A room in which somebody pushes the button at once, and what a test does to it."""

    def __init__(self) -> None:
        self.bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"), where={"satellite": "kitchen"})
        self.sink = NullSink()
        self.room = Room(self.bus, "kitchen", Silence(), self.sink, lambda: Listener(NoVoice()), push_to_talk=True)
        self.worker = Worker(self.bus, self.room)

    async def woken(self, stage) -> str:
        """The turn that has begun."""
        return (await stage.received(WakeEvent)).envelope.turn


async def router_is(stage, status: str) -> None:
    await stage.send(Health(service=Role.ROUTER, instance="1", status=status), role=Role.ROUTER)


def phase(turn: str, what: str) -> TurnEvent:
    return TurnEvent(turn_id=turn, satellite="kitchen", phase=what)


@pytest.fixture
def run(in_virtual_time):
    """Runs a test with a room, on a bus where a router is up unless it says otherwise."""

    def run(test, *, router="up"):
        async def at_home():
            kitchen = Kitchen()
            async with serving() as stage:
                await router_is(stage, router)
                kitchen.bus.use(stage.broker.link)
                async with kitchen.worker:
                    await test(stage, kitchen)

        in_virtual_time(at_home())

    return run


def test_a_turn_without_a_router_ends_at_once_and_audibly(run):
    async def test(stage, kitchen):
        ended = await kitchen.room.turn_over()
        assert (ended.phase, ended.error) == ("failed", NO_ROUTER)
        assert kitchen.sink.position > 0

    run(test, router="down")


@pytest.mark.req("F02")
def test_a_turn_that_the_router_does_not_follow_ends_audibly(run):
    async def test(stage, kitchen):
        ended = await kitchen.room.turn_over()
        assert (ended.phase, ended.error) == ("failed", NO_SIGN)
        assert kitchen.sink.position > 0

    run(test)


def test_a_turn_that_the_router_follows_is_ended_by_it(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        await stage.send(phase(turn, "listening"))
        await asyncio.sleep(30)
        await stage.send(phase(turn, "done"))
        assert (await kitchen.room.turn_over()).phase == "done"
        assert kitchen.sink.position == 0

    run(test)


@pytest.mark.req("F02")
def test_a_turn_whose_router_dies_ends_audibly(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        await stage.send(phase(turn, "listening"))
        await router_is(stage, "down")
        assert (await kitchen.room.turn_over()).error == ROUTER_GONE
        assert kitchen.sink.position > 0

    run(test)


@pytest.mark.req("F05")
def test_a_turn_that_was_forgotten_while_the_connection_was_lost_ends_audibly(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        await stage.send(phase(turn, "thinking"))
        await asyncio.sleep(30)
        assert kitchen.sink.position == 0
        kitchen.bus.link.cut()
        ended = await kitchen.room.turn_over()
        assert (ended.phase, ended.error) == ("failed", NO_SIGN)
        assert kitchen.sink.position > 0

    run(test)


@pytest.mark.req("F02")
def test_nothing_of_a_turn_is_played_after_it_was_given_up(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        await kitchen.room.turn_over()
        played = kitchen.sink.position
        with conversation(turn=turn):
            await stage.send(Speech(audio=SENTENCE, satellite="kitchen", last=True, sentences=1))
        await asyncio.sleep(30)
        assert kitchen.sink.position == played

    run(test)


def test_an_answer_that_is_all_here_is_played_though_its_router_dies(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        with conversation(turn=turn):
            await stage.send(Speech(audio=SENTENCE, satellite="kitchen", last=True))
            await stage.send(SatelliteControl(satellite="kitchen", action="finish", sentences=1))
        await stage.next(PlaybackStatus)  # it sounds
        await router_is(stage, "down")
        await kitchen.room.turn_over()
        assert kitchen.sink.position == SAMPLE_RATE

    run(test)


@pytest.mark.req("F05")
def test_an_answer_of_which_the_rest_was_lost_with_the_connection_ends_audibly(run):
    async def test(stage, kitchen):
        turn = await kitchen.woken(stage)
        with conversation(turn=turn):
            await stage.send(Speech(audio=SENTENCE, satellite="kitchen"))
        await stage.next(PlaybackStatus)  # it sounds
        kitchen.bus.link.cut()
        ended = await kitchen.room.turn_over()
        assert (ended.phase, ended.error) == ("failed", BROKEN_OFF)
        assert kitchen.sink.position > SAMPLE_RATE

    run(test)
