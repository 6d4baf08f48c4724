import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from memory_worker.documents import Entry, Limits
from memory_worker.persona import Persons
from memory_worker.store import Store
from memory_worker.worker import Memory
from mynah_bus import Bus, BusSettings, RequestFailed, Worker, conversation, handles
from mynah_bus.testing import Stage, serving
from mynah_contracts import (
    Character,
    CharacterGet,
    CharacterResult,
    CharacterUpdate,
    Failed,
    MemoryChanged,
    MemoryForget,
    MemoryQuery,
    MemoryResults,
    MemoryStore,
    Role,
    Said,
    Say,
    Transcript,
)
from mynah_resilience import StallProbe


class Voice:
    """Says everything in no time."""

    @handles(at_once=8)
    async def say(self, say: Say) -> Said:
        return Said(n=say.n)


@dataclass
class Library:
    """A memory worker at work."""

    stage: Stage
    worker: Worker

    async def hear(self, text: str, *, turn: str | None = None, session: str | None = None) -> None:
        with conversation(turn=turn, session=session):
            await self.stage.send(Transcript(text=text))

    async def say(self, text: str, *, turn: str | None = None) -> None:
        with conversation(turn=turn):
            await self.stage.ask(Say(text=text), role=Role.ROUTER)

    async def store(self, text: str, *, user: str = "", speaker: str = "") -> int:
        changed = await self.stage.ask(MemoryStore(text=text, user=user, speaker=speaker))
        assert isinstance(changed, MemoryChanged)
        return changed.stored

    async def forget(self, text: str | None = None, *, user: str = "", everything: bool = False) -> int:
        changed = await self.stage.ask(MemoryForget(text=text, user=user, everything=everything))
        assert isinstance(changed, MemoryChanged)
        return changed.forgotten

    async def find(self, text: str, *, turn: str | None = None, user: str = "", **more) -> list[str]:
        with conversation(turn=turn):
            found = await self.stage.ask(MemoryQuery(text=text, user=user, **more), role=Role.LLM, timeout=20)
        assert isinstance(found, MemoryResults)
        return [one.text for one in found.results]

    async def remembers(self, text: str, number: int = 1) -> list[str]:
        """Wait until so much about a text has been taken in."""
        async with asyncio.timeout(10):
            # Nothing tells when an event has been handled.
            while len(found := await self.find(text)) < number:  # noqa: ASYNC110
                await asyncio.sleep(0)
        return found


@pytest.fixture
def library(tmp_path: Path):
    """Makes memory workers that share one file."""

    @asynccontextmanager
    async def make(*, listens: bool = True, limits: Limits | None = None) -> AsyncIterator[Library]:
        bus = Bus(Role.MEMORY, BusSettings(instance="1"))
        memory = Memory(tmp_path / "memory.sqlite", limits or Limits(), listens=listens)
        worker = Worker(bus, memory, Persons(tmp_path / "characters.json"))
        async with serving(Worker(Bus(Role.TTS, BusSettings(instance="1")), Voice()), worker) as stage:
            yield Library(stage, worker)

    return make


# -- taking in and finding


@pytest.mark.req("MEM-06")
async def test_what_is_said_and_what_is_answered_is_remembered(library):
    async with library() as memory:
        await memory.hear("penguins are birds")
        await memory.say("penguins cannot fly")

        assert set(await memory.remembers("penguins", 2)) == {"penguins are birds", "penguins cannot fly"}


async def test_an_answer_is_remembered_once_by_either_topic(library):
    async with library() as memory:
        await memory.stage.send(Say(text="penguins by hand"), role=Role.GUEST)
        await memory.say("penguins by request")

        assert len(await memory.remembers("penguins", 2)) == 2
        topics = {packet.topic for packet in memory.stage.broker.published if "tts/say" in packet.topic}
        assert topics == {"mynah/tts/say", "mynah/tts/say/1"}


@pytest.mark.parametrize("purpose", ["filler", "error"])
async def test_what_is_said_for_want_of_an_answer_is_not_remembered(library, purpose):
    async with library() as memory:
        await memory.stage.ask(Say(text="no penguins at work", purpose=purpose), role=Role.ROUTER)
        await memory.say("penguins swim")

        assert await memory.remembers("penguins") == ["penguins swim"]


async def test_what_was_said_has_its_speaker(library):
    async with library() as memory:
        await memory.hear("penguins are birds")
        await memory.say("penguins cannot fly")
        await memory.remembers("penguins", 2)

        found = await memory.stage.ask(MemoryQuery(text="penguins"), role=Role.LLM)

        assert {one.text: one.speaker for one in found.results} == {
            "penguins are birds": "user",
            "penguins cannot fly": "assistant",
        }


async def test_nothing_is_not_remembered(library):
    async with library() as memory:
        await memory.hear("  ")
        await memory.say(" ")
        await memory.hear("penguins")
        await memory.remembers("penguins")

        assert await memory.find("x", strategy="recent") == ["penguins"]


async def test_who_does_not_listen_remembers_only_what_is_sent_for_it(library):
    async with library(listens=False) as memory:
        await memory.hear("penguins are birds")
        await memory.say("penguins cannot fly")
        assert await memory.store("penguins swim") == 1

        assert await memory.find("penguins") == ["penguins swim"]


@pytest.mark.parametrize("listens", [True, False])
async def test_what_was_said_in_writing_is_overheard_as_well(library, listens):
    async with library(listens=listens) as memory:
        written = MemoryStore(text="penguins swim", user="anna", speaker="user")
        changed = await memory.stage.ask(written, role=Role.ROUTER)

        assert changed == MemoryChanged(stored=int(listens))
        assert await memory.find("penguins", user="anna") == ["penguins swim"] * listens


async def test_a_question_does_not_find_itself(library):
    async with library() as memory:
        await memory.hear("where are the penguins", turn="t1")
        await memory.remembers("penguins")

        assert await memory.find("where are the penguins", turn="t1") == []
        assert await memory.find("where are the penguins", turn="t2") == ["where are the penguins"]


@pytest.mark.req("MEM-06")
async def test_an_answer_that_nobody_asked_for_by_reply_is_published_with_the_correlation_of_its_question(library):
    from mynah_bus.wire import Packet

    async with library() as memory:
        await memory.store("penguins swim")
        memory.stage.broker.publish(
            Packet("mynah/memory/query", b'{"correlation_id":"c-7","data":{"text":"penguins"}}', qos=1)
        )

        received = await memory.stage.received(MemoryResults)

        assert received.envelope.correlation_id == "c-7"
        assert [one.text for one in received.message.results] == ["penguins swim"]


async def test_what_belongs_to_one_user_is_found_by_nobody_else(library):
    async with library() as memory:
        await memory.store("penguins are mine", user="anna")

        assert await memory.find("penguins", user="ben") == []
        assert await memory.find("penguins") == []
        assert await memory.find("penguins", user="anna") == ["penguins are mine"]


async def test_what_is_too_long_is_refused_and_the_worker_goes_on(library):
    async with library() as memory:
        await memory.hear("penguin " * 5_000)
        await memory.hear("penguins are birds")

        assert await memory.remembers("penguins") == ["penguins are birds"]


async def test_memories_outlive_the_worker(library):
    async with library() as memory:
        await memory.store("penguins swim")
    async with library() as memory:
        assert await memory.find("penguins") == ["penguins swim"]


# -- forgetting


async def test_forgetting_a_text_leaves_what_only_shares_a_word_with_it(library):
    async with library() as memory:
        for text in ("my keys are in the drawer", "my cat is in the garden", "the keys of the piano"):
            await memory.store(text)

        assert await memory.forget("keys in the drawer") == 1

        assert await memory.find("keys", top_k=10) == ["the keys of the piano"]
        assert await memory.find("cat in the garden") == ["my cat is in the garden"]


async def test_everything_of_a_user_can_be_forgotten(library):
    async with library() as memory:
        await memory.store("penguins", user="anna")
        await memory.store("penguins", user="ben")

        assert await memory.forget(user="anna", everything=True) == 1

        assert await memory.find("penguins", user="anna") == []
        assert await memory.find("penguins", user="ben") == ["penguins"]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b'{"data": {}}',
        b'{"data": {"txt": "penguins"}}',
        b'{"data": {"user": ""}}',
        b'{"data": {"everything": false}}',
        b'{"data": {"text": ""}}',
        b'{"data": {"text": "penguins", "everything": true}}',
    ],
)
async def test_who_does_not_say_what_is_to_be_forgotten_is_refused(library, payload):
    from mynah_bus.wire import Packet

    async with library() as memory:
        await memory.store("penguins")

        memory.stage.broker.publish(Packet("mynah/memory/forget", payload, qos=1))

        refused = await memory.stage.next(Failed)
        assert (refused.code, refused.about) == ("bad_message", "memory.forget")
        assert await memory.find("penguins") == ["penguins"]


# -- the character


async def test_who_the_assistant_is_is_told_to_everybody_and_to_who_asks(library):
    async with library() as memory:
        current = await memory.stage.next(Character)
        assert current.name == "Mynah"

        asked = await memory.stage.ask(CharacterGet())

        assert isinstance(asked, CharacterResult)
        assert asked.model_dump() == current.model_dump()


async def test_a_change_of_character_is_answered_told_and_kept(library):
    async with library() as memory:
        await memory.stage.next(Character)

        changed = await memory.stage.ask(CharacterUpdate(name="Marvin", traits={"humor": 1}))

        assert isinstance(changed, CharacterResult)
        assert (changed.name, changed.traits["humor"]) == ("Marvin", 1)
        assert (await memory.stage.next(Character)).name == "Marvin"
        retained = [
            packet for packet in memory.stage.broker.published if packet.topic == "mynah/system/character/current"
        ]
        assert all(packet.retain for packet in retained)
    async with library() as memory:
        assert (await memory.stage.next(Character)).name == "Marvin"


async def test_a_character_that_cannot_be_is_refused(library):
    async with library() as memory:
        with pytest.raises(RequestFailed) as failure:
            await memory.stage.ask(CharacterUpdate(name="", traits={"": 5}))

        assert failure.value.code == "refused"
        assert str(failure.value) == "No character can be like that: name: String should have at least 1 character."


async def test_what_somebody_wrote_of_a_character_is_in_no_log(library, caplog):
    secret = {f"our safe opens with {number}": 5 for number in range(50)}
    async with library() as memory:
        with caplog.at_level("DEBUG"), pytest.raises(RequestFailed, match=r"traits: [^:\n]+\.$"):
            await memory.stage.ask(CharacterUpdate(traits=secret))

    assert "No character can be like that" in caplog.text
    assert "our safe" not in caplog.text


# -- much at once


@pytest.mark.req("MEM-05", "PERF-01")
async def test_the_loop_stays_awake_while_fifty_are_taken_in_and_fifty_are_asked(library, tmp_path):
    with Store(tmp_path / "memory.sqlite") as store:
        for number in range(2_000):
            store.add(Entry(f"d{number}", f"document {number} about penguins and {number % 97}", "user", float(number)))
    async with library() as memory:
        await memory.stage.bus(Role.LLM)
        asking = []
        async with StallProbe() as probe:
            for number in range(50):
                await memory.hear(f"new {number} about owls")
                asking.append(asyncio.create_task(memory.find(f"penguins {number}")))
                await asyncio.sleep(0)  # the sender shares the loop, and is not what is measured
            answers = await asyncio.gather(*asking)

        assert all(len(answer) == 5 for answer in answers)
        assert probe.maximum_ms < 50
        assert len(await memory.remembers("owls", 5)) == 5


async def test_nothing_that_is_asked_of_it_blocks_the_loop(library):
    async with library() as memory:
        for role in (Role.SKILL, Role.LLM):
            await memory.stage.bus(role)
        with blockbuster_ctx():
            assert await memory.store("penguins swim") == 1
            assert await memory.find("penguins") == ["penguins swim"]
            assert await memory.forget("penguins") == 1
            await memory.stage.ask(CharacterUpdate(traits={"humor": 1}))


async def test_a_burst_of_what_is_said_is_remembered_whole(library):
    async with library() as memory:
        for number in range(300):
            await memory.hear(f"penguin number {number}")

        assert await memory.remembers("penguin 299")
        assert memory.worker.bus.counters.get("refused", 0) == 0
