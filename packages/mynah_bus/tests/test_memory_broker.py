"""The in-memory broker does what a real one does."""

import asyncio

import pytest

from mynah_bus import Bus, BusSettings, conversation, current
from mynah_bus.bus import LISTENER_QUEUE
from mynah_bus.link import NO_SUBSCRIBER, SUCCESS, Filter
from mynah_bus.memory_link import InMemoryBroker, matches
from mynah_bus.packet import Packet
from mynah_bus.testing import serving
from mynah_bus.tests.puppets import acknowledged, joined
from mynah_contracts import CharacterGet, Failed, Health, Role, Say, Transcript

virtual = pytest.mark.asyncio(loop_factories=["virtual"])


@pytest.mark.parametrize(
    ("topic_filter", "topic", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+/c", "a/b/c", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("#", "$SYS/a", False),
        ("+/a", "$SYS/a", False),
        ("$SYS/#", "$SYS/a", True),
        ("a/+", "a/", True),
    ],
)
def test_a_filter_matches_as_mqtt_says(topic_filter, topic, fits):
    assert matches(topic_filter, topic) == fits


@virtual
async def test_members_of_a_group_take_turns_and_everybody_else_hears_all(broker: InMemoryBroker):
    heard: dict[str, int] = {"one": 0, "two": 0, "all": 0}
    for name, topic_filter in (("one", "$share/g/a/b"), ("two", "$share/g/a/b"), ("all", "a/+")):
        link = broker.link(Role.STT, name)
        link.on_packet = lambda _, name=name: heard.update({name: heard[name] + 1})
        await link.subscribe([Filter(topic_filter, 1)])
    for _ in range(10):
        assert broker.publish(Packet("a/b", b"")) == SUCCESS
    assert broker.publish(Packet("a/b/c", b"")) == NO_SUBSCRIBER
    await asyncio.sleep(0)
    assert heard == {"one": 5, "two": 5, "all": 10}


@virtual
async def test_a_listener_that_lags_keeps_the_newest(broker: InMemoryBroker):
    async with (
        joined(broker, Role.STT, "mouth") as mouth,
        joined(broker, Role.SKILL) as bus,
        bus.listening(Transcript) as heard,
    ):
        for n in range(LISTENER_QUEUE + 5):
            mouth.publish(Transcript(text=str(n)))
        await asyncio.sleep(0.001)
        assert (await anext(heard)).message == Transcript(text="5")
        assert bus.counters["dropped"] == 5


@virtual
async def test_what_nobody_listens_to_any_more_is_not_kept(broker: InMemoryBroker):
    async with joined(broker, Role.STT, "mouth") as mouth, joined(broker, Role.SKILL) as bus:
        async with bus.listening(Transcript) as heard:
            mouth.publish(Transcript(text="while"))
            assert (await anext(heard)).message == Transcript(text="while")
        mouth.publish(Transcript(text="after"))
        await asyncio.sleep(0.001)
        async with bus.listening(Transcript) as heard:
            mouth.publish(Transcript(text="again"))
            assert (await anext(heard)).message == Transcript(text="again")


@virtual
async def test_what_is_said_while_the_connection_is_lost_comes_later(broker: InMemoryBroker):
    async with (
        joined(broker, Role.STT, "mouth") as mouth,
        joined(broker, Role.SKILL) as bus,
        bus.listening(Transcript) as heard,
    ):
        mouth.link.cut()
        mouth.publish(Transcript(text="meanwhile"))
        assert (await anext(heard)).message == Transcript(text="meanwhile")


@virtual
async def test_what_arrives_is_heard_outside_of_its_senders_conversation(broker: InMemoryBroker):
    turns: list[str | None] = []
    async with joined(broker, Role.STT, "mouth") as mouth, joined(broker, Role.SKILL) as bus:
        bus.route(Transcript, lambda _: turns.append(current().turn))
        async with bus.listening(Transcript) as heard:
            with conversation(turn="the sender's"):
                mouth.publish(Transcript(text="?"))
                mouth.link.attempt(Packet("a/b", b"", qos=1), lambda _: turns.append(current().turn))
            await anext(heard)
    assert turns == [None, None]


@virtual
@pytest.mark.parametrize("garbage", [b"", b"\xff{", b"[1]", b'{"type": "tts.say"}', b'{"text": 5}', b'{"v": 9}'])
async def test_what_fits_no_contract_does_not_disturb_who_watches(garbage):
    async with serving() as stage:
        stage.broker.publish(Packet("mynah/stt/final", garbage))
        stage.broker.publish(Packet("mynah/no/such", garbage))
        await stage.send(Transcript(text="?"))
        assert await stage.next(Transcript) == Transcript(text="?")


@virtual
async def test_whether_somebody_hears_it_can_be_asked(broker: InMemoryBroker):
    packet = Packet("mynah/stt/final", b"{}", qos=1)
    async with joined(broker, Role.STT, "mouth") as mouth, joined(broker, Role.SKILL) as bus:
        assert await acknowledged(mouth.link, packet) == NO_SUBSCRIBER
        async with bus.listening(Transcript):
            assert await acknowledged(mouth.link, packet) == SUCCESS


@virtual
async def test_what_a_role_may_not_say_or_hear_is_a_type_error(broker: InMemoryBroker):
    async with joined(broker, Role.TTS) as bus:
        with pytest.raises(TypeError, match=r"stt\.final is not for tts to send"):
            bus.publish(Transcript(text="forged"))
        with pytest.raises(TypeError, match=r"stt\.final is not for tts to hear"):
            async with bus.listening(Transcript):
                pass


@pytest.mark.parametrize(
    ("role", "kind", "filters"),
    [
        (Role.TTS, Say, {"$share/tts/mynah/tts/say", "mynah/tts/say/one"}),
        (Role.MEMORY, Say, {"mynah/tts/say", "mynah/tts/say/+"}),
        (Role.MEMORY, CharacterGet, {"$share/memory/mynah/character/get", "mynah/character/get/one"}),
        (Role.STT, Health, {"mynah/system/health/+/+"}),
        (Role.GUEST, Failed, {"mynah/system/error"}),
    ],
)
def test_who_hears_what_through_which_filters(role, kind, filters):
    assert {each.topic for each in Bus(role, BusSettings(instance="one")).filters(kind)} == filters
