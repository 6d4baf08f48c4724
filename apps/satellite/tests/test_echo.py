import asyncio
from functools import partial

import numpy as np
import pytest

from mynah_audio.pcm import to_bytes
from mynah_audio.wake import MicroWakeWord
from mynah_bus import Bus, BusSettings, Worker
from mynah_bus.testing import serving
from mynah_contracts import PlaybackStatus, Role, Speech
from satellite.echo import ECHO_S, OwnVoice
from satellite.room import Room
from satellite.sinks import NullSink
from satellite.worker import OWN_THRESHOLD, make_listener

WAKE = np.full(320, 77, np.int16)
QUIET = np.zeros(320, np.int16)


class Echo(NullSink):
    """A loudspeaker in a room with a microphone: what is played is heard, quieter and a little later."""

    def __init__(self, microphone, *, delay_ms: int, gain_db: float) -> None:
        super().__init__(paced=False)
        self._microphone = microphone
        self._gain = 10 ** (gain_db / 20)
        microphone.hear(QUIET, delay_ms)

    async def _write(self, block) -> None:
        sound = np.zeros(320, np.int16)
        sound[: len(block)] = block * self._gain
        self._microphone.hear(sound)


async def wakes(microphone, voice, word: str, *, delay_ms: int, gain_db: float, knows_itself: bool = True) -> int:
    """How often a satellite is woken by saying its own wake word."""
    sink = Echo(microphone, delay_ms=delay_ms, gain_db=gain_db)
    own = OwnVoice(partial(MicroWakeWord, (word,), threshold=OWN_THRESHOLD)) if knows_itself else None
    bus = Bus(Role.SATELLITE, BusSettings(instance="kitchen"), where={"satellite": "kitchen"})
    room = Room(bus, "kitchen", microphone, sink, partial(make_listener, word), own_voice=own)
    async with serving(Worker(Role.ROUTER), Worker(bus, room)) as stage:
        await stage.send(Speech(audio=to_bytes(voice), satellite="kitchen", last=True, sentences=1))
        while (await stage.next(PlaybackStatus)).event == "speaking_start":
            pass
        microphone.hear(QUIET, 1_000)
        await microphone.heard()
        return len([packet for packet in stage.broker.published if packet.topic == "mynah/wake/event"])


@pytest.mark.model
@pytest.mark.req("S08")
@pytest.mark.parametrize("gain_db", [0, -20])
@pytest.mark.parametrize("delay_ms", [60, 300])
@pytest.mark.parametrize(
    ("recording", "word"),
    [("wake_okay_nabu_1", "okay_nabu"), ("wake_alexa_2", "alexa"), ("wake_hey_jarvis_2", "hey_jarvis")],
)
async def test_a_satellite_that_says_its_wake_word_does_not_wake_itself(
    voices, microphone, recording, word, delay_ms, gain_db
):
    assert await wakes(microphone, voices[recording], word, delay_ms=delay_ms, gain_db=gain_db) == 0


@pytest.mark.model
async def test_without_knowing_its_own_voice_it_would(voices, microphone):
    sound = voices["wake_okay_nabu_1"]

    assert await wakes(microphone, sound, "okay_nabu", delay_ms=60, gain_db=0, knows_itself=False) > 0


class Often:
    """A wake word that is heard in frames of one certain value."""

    def push(self, samples):
        return object() if samples[0] == WAKE[0] else None

    def reset(self):
        """Nothing is remembered."""


async def test_a_wake_word_may_be_our_own_until_it_has_come_back():
    now = [0.0]
    async with OwnVoice(Often, clock=lambda: now[0]) as own:
        await own.say(QUIET)
        assert not own.may_be_heard()

        await own.say(WAKE)

        assert own.may_be_heard()
        now[0] = ECHO_S
        assert own.may_be_heard()
        now[0] = ECHO_S + 0.03
        assert not own.may_be_heard()


async def test_who_calls_while_something_else_is_said_is_heard(home):
    async with home(wake=True, own_voice=OwnVoice(Often), blocks=2) as house:
        await house.say("t", 0, np.full(6_400, 5, np.int16), sentences=1)
        await house.loudspeaker.reached(2)
        house.microphone.hear(WAKE)

        async with asyncio.timeout(5):
            assert (await house.woken("wake")).message.cause == "okay_nabu"


async def test_who_calls_itself_goes_on_waiting_for_others(home):
    now = [0.0]
    async with home(wake=True, own_voice=OwnVoice(Often, clock=lambda: now[0])) as house:
        await house.say("t", 0, WAKE, sentences=1)
        await house.status("speaking_end")
        house.microphone.hear(WAKE)
        house.microphone.hear(np.full(320, 8_000, np.int16), 400)
        house.microphone.hear(QUIET, 600)
        await house.microphone.heard()
        assert not [packet for packet in house.stage.broker.published if packet.topic == "mynah/wake/event"]
        now[0] = 10.0
        house.microphone.hear(WAKE)

        await house.woken("wake")
