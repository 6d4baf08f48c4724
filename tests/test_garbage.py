"""Garbage on every topic that the fleet hears: nobody restarts, nobody grows, everybody answers."""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mynah_bus import Bus, RequestFailed
from mynah_bus.packet import Packet
from mynah_bus.tests.garbage import HEADERS, PAYLOADS
from mynah_bus.tests.puppets import acknowledged
from mynah_bus.wire import decode
from mynah_contracts import (
    CATALOGUE,
    HEADER,
    Answer,
    Ask,
    Command,
    Failed,
    Health,
    Kind,
    LlmRequest,
    MemoryQuery,
    Message,
    Role,
    Say,
    SpokenRecording,
    Synthesize,
    Transcribe,
    Vocabulary,
)
from mynah_contracts.tests.strategies import ANY_JSON, fields

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

WORKERS = (Role.STT, Role.TTS, Role.MEMORY, Role.ROUTER, Role.LLM, Role.SATELLITE)
BATCHES = (500, 500, 4_500, 4_500)
"""Pieces on each topic before everybody is asked; with the first ones the workers grow into their work."""
AT_ONCE = 250
AGAIN = 2
"""Further batches like the last, while workers grow: what leaks does so each time, what was needed once does not."""
GROWTH = 8 << 20
"""Bytes by which a worker may be larger after the last batch than after the one before."""
ANSWERS_WITHIN_S = 30.0

ANONYMOUS = re.compile(r"RssAnon:\s+(\d+) kB")
READ = ("received", "bad_messages", "duplicates", "late_answers")
"""What a worker counts of all that it reads."""
SHARE = 0.7
"""Of what a worker may hear; it need not listen to all of that, and a state that was deleted is not counted."""
COMMANDS = [message for message in CATALOGUE.values() if message.contract.kind is Kind.COMMAND]

Piece = tuple[bytes, tuple[tuple[str, str], ...]]
"""A payload, and the user properties beside it."""


@dataclass(frozen=True)
class Place:
    """A topic that workers hear, and a role that may write there."""

    topic: str
    by: Role
    heard_by: tuple[Role, ...]
    message: type[Message] | None


def places() -> Iterator[Place]:
    """Every topic that a worker of the fleet hears."""
    for message in CATALOGUE.values():
        contract = message.contract
        heard_by = tuple(role for role in WORKERS if role in (*contract.to, *contract.overheard_by))
        if contract.topic is None or not heard_by:
            continue
        by = contract.by[0]
        names = {"service": by.value, "instance": "garbage", "satellite": "default"}
        topic = f"mynah/{contract.topic.format(**names)}"
        yield Place(topic, by, heard_by, message)
        if contract.kind is Kind.COMMAND:
            yield Place(f"{topic}/1", by, heard_by, message)
    for role in WORKERS:
        yield Place(f"mynah/reply/{role.value}/1", role, (role,), None)


def examples(strategy: st.SearchStrategy[Any], count: int) -> list[Any]:
    """So many examples, the same ones every time."""
    found: list[Any] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(one: object) -> None:
        found.append(one)

    collect()
    return found


def spoiled(message: type[Message]) -> st.SearchStrategy[Piece]:
    """A good envelope around a payload in which something does not fit, most of the time."""
    body = message.contract.body
    names = [name for name in message.model_fields if name != body]
    wrong = st.dictionaries(st.sampled_from([*names, "unknown"]), ANY_JSON, min_size=1, max_size=2)

    def piece(right: dict[str, Any], wrong: dict[str, Any], number: int) -> Piece:
        data = {name: right[name] for name in names if name in right} | wrong
        envelope = orjson.dumps({"id": f"{number}", "type": message.contract.name, "turn": "garbage", "data": data})
        return (envelope, ()) if body is None else (right[body], ((HEADER, json.dumps(orjson.loads(envelope))),))

    return st.builds(piece, fields(message), wrong, st.integers(0, 10**9))


def passes(properties: tuple[tuple[str, str], ...]) -> bool:
    """Whether a broker lets them through: over a control character it hangs up on who sends it."""
    return all(value.isprintable() for _, value in properties)


class Garbage:
    """As many different pieces as are wanted: hypothesis thinks of some hundreds, chance damages copies of them."""

    def __init__(self) -> None:
        self._hostile: list[Piece] = examples(st.tuples(PAYLOADS, st.just(()) | HEADERS.filter(passes)), 300)
        self._spoiled = {message: examples(spoiled(message), 20) for message in CATALOGUE.values()}
        self._random = Random(20_261)

    def for_(self, message: type[Message] | None) -> Iterator[Piece]:
        """Pieces for the topic of a message, without an end."""
        typical = self._spoiled[message] if message else list(itertools.chain(*self._spoiled.values()))
        while True:
            payload, properties = self._random.choice(self._random.choice((self._hostile, typical)))
            at = self._random.randrange(len(payload) + 1)
            match self._random.randrange(4):
                case 0:
                    yield payload[:at], properties
                case 1 | 2:
                    yield payload[:at] + bytes([self._random.randrange(256)]) + payload[at + 1 :], properties
                case _:
                    yield payload, properties


async def throw(bus: Bus, topic: str, pieces: Iterable[Piece]) -> None:
    """Send; returns when the broker has read it."""
    for number, (payload, properties) in enumerate(pieces, 1):
        packet = Packet(topic, payload, properties=properties)
        if number % AT_ONCE:
            bus.link.attempt(packet)
        else:
            packet.qos = 1
            await acknowledged(bus.link, packet)


class Foreman:
    """Knows when a worker has read what was sent before: a bad command behind it is refused at once."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._read: dict[bytes | None, asyncio.Event] = {}
        self._behind = bus.link.on_packet
        bus.link.on_packet = self._refused

    async def until_read(self, role: Role) -> None:
        """Wait for a worker; one that takes no commands is not waited for."""
        command = next((message for message in COMMANDS if message.contract.to[0] is role), None)
        if command is None:
            return
        bad = b'{"data": 0}'
        packet = Packet(f"mynah/{command.contract.topic}/1", bad, qos=1, properties=((HEADER, bad.decode()),))
        packet.response_topic, packet.correlation = f"{self._bus.reply_topic}/{role.value}", role.value.encode()
        read = self._read[packet.correlation] = asyncio.Event()
        self._bus.link.attempt(packet)
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            await read.wait()

    def _refused(self, packet: Packet) -> None:
        if packet.topic.startswith(self._bus.reply_topic) and packet.correlation in self._read:
            assert isinstance(decode(packet, None).message, Failed)
            self._read[packet.correlation].set()
        else:
            self._behind(packet)


async def answered(bus: Bus, command: Command) -> Message:
    """The answer, however long the worker is still busy with garbage that can be worked on."""
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        while True:
            try:
                return await bus.request(command, timeout=ANSWERS_WITHIN_S)
            except RequestFailed as refused:
                if not refused.retryable:
                    raise


async def everybody_answers(bus: Bus) -> None:
    """Ask every worker for what it is there for."""
    assert isinstance(await answered(bus, Ask(text="what time is it")), Answer)
    await answered(bus, LlmRequest(text="what time is it"))
    await answered(bus, MemoryQuery(text="tea"))
    spoken = await answered(bus, Synthesize(text="what time is it"))
    assert isinstance(spoken, SpokenRecording)
    await answered(bus, Transcribe(audio=spoken.audio))
    await answered(bus, Say(text="Still here."))


async def all_read(bus: Bus, thrown: Counter[Role]) -> None:
    """Wait until each worker's health says that it is up and has read all that was thrown."""
    news: asyncio.Queue[Health] = asyncio.Queue()
    bus.fleet.on_change.add(news.put_nowait)
    behind = set(WORKERS)
    async with asyncio.timeout(ANSWERS_WITHIN_S):
        while behind:
            health = await news.get()
            read = sum(health.counters.get(what, 0) for what in READ)
            if health.instance == "1" and health.status == "up" and read > SHARE * thrown[health.service]:
                behind.discard(health.service)
    bus.fleet.on_change.discard(news.put_nowait)


def sizes(fleet, pids: dict[str, int]) -> dict[str, int]:
    """Bytes that each worker, with all that it has started, keeps for itself."""
    return {worker: sum(_kept(one) for one in (pid, *fleet.children(pid))) for worker, pid in pids.items()}


def grown(sized: list[dict[str, int]]) -> dict[str, int]:
    """Bytes by which workers are larger than before the last batch, if those are many."""
    *_, before, after = sized
    return {worker: size - before[worker] for worker, size in after.items() if size > before[worker] + GROWTH}


def _kept(pid: int) -> int:
    found = ANONYMOUS.search(Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.req("MQ-17")
async def test_ten_thousand_pieces_of_garbage_on_every_topic_restart_and_enlarge_nobody(own_fleet):
    garbage = Garbage()
    pids = own_fleet.pids()
    thrown: Counter[Role] = Counter()
    async with AsyncExitStack() as stack:

        async def joined(role: Role, instance: str) -> Bus:
            settings = own_fleet.settings.model_copy(update={"instance": instance})
            bus = await stack.enter_async_context(Bus(role, settings))
            await bus.ready(10)
            await bus.until_up(*WORKERS, timeout=10)
            return bus

        throwers = {role: await joined(role, "garbage") for role in Role}
        asker = await joined(Role.SKILL, "asker")
        async with throwers[Role.GUEST].listening(Vocabulary) as told:
            vocabulary = (await anext(told)).message
        foreman = Foreman(await joined(Role.SKILL, "foreman"))
        sized: list[dict[str, int]] = []
        for batch in (*BATCHES, *AGAIN * BATCHES[-1:]):
            if len(sized) >= len(BATCHES) and not grown(sized):
                break
            for place in places():
                pieces = itertools.islice(garbage.for_(place.message), batch)
                await throw(throwers[place.by], place.topic, pieces)
                await asyncio.gather(*(foreman.until_read(role) for role in place.heard_by))
                thrown.update(dict.fromkeys(place.heard_by, batch))
            throwers[Role.ROUTER].publish(vocabulary)  # what was thrown may have been one
            await everybody_answers(asker)
            sized.append(sizes(own_fleet, pids))
        await all_read(asker, thrown)
    assert own_fleet.pids() == pids
    assert grown(sized) == {}
