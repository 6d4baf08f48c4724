"""Workers and the broker are killed while people ask and speak; what they get is kept in a ledger."""

import asyncio
import gc
import json
import os
import signal
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

import pytest

from mynah.errors import CommandFailed
from mynah.talk import turn
from mynah_audio.recording import load
from mynah_bus import Bus, BusSettings, MynahError
from mynah_bus.wire import Packet, decode
from mynah_contracts import Answer, Ask, Health, PlaybackStatus, Role, TurnEvent

pytestmark = [pytest.mark.broker, pytest.mark.timeout(240)]

WORKERS = (Role.STT, Role.TTS, Role.MEMORY, Role.ROUTER, Role.LLM, Role.SATELLITE)
DOWN_WITHIN_S = 10.0
BACK_WITHIN_S = 10.0
ASK_WITHIN_S = 20.0
TURN_WITHIN_S = 70.0
"""Connecting, the turn's own deadline, and goodbye."""
SPOKEN_S = 1.0
"""The shortest answer to a spoken question."""
BROKERS = 3
QUESTIONS = ("what time is it", "what is twelve plus thirty")
OVER = frozenset({"done", "cancelled", "failed"})


@dataclass
class Ledger:
    """What was asked, and what came of it."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """How long each question took to its end, in writing and in speech."""
    ends: Counter[str] = field(default_factory=Counter)
    """What came of them."""
    answers: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The turns that answered each request."""
    endings: Counter[str] = field(default_factory=Counter)
    """How often each turn was told to have ended."""
    sentences: Counter[tuple[str | None, int]] = field(default_factory=Counter)
    """How often each sentence of a turn began to sound."""
    noticed: list[float] = field(default_factory=list)
    """Seconds from the death of a worker until its health said `down`."""
    workers_back: list[float] = field(default_factory=list)
    """Seconds from the death of a worker until it was up again."""
    brokers_back: list[float] = field(default_factory=list)
    """Seconds from the death of the broker until every worker was up again."""

    def figures(self) -> dict[str, object]:
        """For the note."""
        return {
            "down_told_after_s": spread(self.noticed),
            "worker_back_after_s": spread(self.workers_back),
            "all_back_after_broker_s": spread(self.brokers_back),
            "asked_in_writing": len(self.seconds["ask"]),
            "asked_in_speech": len(self.seconds["turn"]),
            "ended": dict(self.ends),
            "slowest_ask_s": round(max(self.seconds["ask"]), 2),
            "slowest_turn_s": round(max(self.seconds["turn"]), 2),
            "answered_twice": sum(len(turns) > 1 for turns in self.answers.values()),
            "ended_twice": sum(times > 1 for times in self.endings.values()),
            "said_twice": sum(times > 1 for times in self.sentences.values()),
        }


def spread(seconds: list[float]) -> dict[str, float]:
    """The middle and the worst of some times, and how many there are."""
    return {"n": len(seconds), "median": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)}


class People:
    """A guest who asks in writing and one who speaks, both without pause."""

    def __init__(self, bus: Bus, settings: BusSettings, question: Path, ledger: Ledger) -> None:
        self._bus = bus
        self._settings = settings
        self._question = question
        self._ledger = ledger
        self._enough = asyncio.Event()
        self._answered: dict[str, asyncio.Event] = {"ask": asyncio.Event(), "turn": asyncio.Event()}

    @asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Let them talk while the block lasts, and finish what they have begun."""
        self._enough.clear()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask())
            tasks.create_task(self._speak())
            yield
            self._enough.set()

    async def answered(self) -> None:
        """Wait until each of them has had an answer to something that they began after now."""
        async with asyncio.timeout(ASK_WITHIN_S + TURN_WITHIN_S):
            for answered in self._answered.values():
                for _ in range(2):
                    answered.clear()
                    await answered.wait()

    async def _ask(self) -> None:
        for text in cycle(QUESTIONS):
            if self._enough.is_set():
                return
            async with self._entry("ask", ASK_WITHIN_S + 1):
                await self._bus.request(Ask(text=text), Answer, timeout=ASK_WITHIN_S)

    async def _speak(self) -> None:
        answer = self._question.with_name("answer.wav")
        while not self._enough.is_set():
            async with self._entry("turn", TURN_WITHIN_S):
                await turn(self._settings, self._question, answer)
                assert load(answer).duration > SPOKEN_S

    @asynccontextmanager
    async def _entry(self, kind: str, within: float) -> AsyncIterator[None]:
        """Enter how it ends, which must be in time and in an answer or an error that is meant for people."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(within):
                yield
        except (MynahError, CommandFailed) as error:
            if error.code == "bug":
                raise
            self._ledger.ends[f"{kind}: {error}"] += 1
            await self._bus.until_up(Role.ROUTER)
        else:
            self._ledger.ends[f"{kind}: answered"] += 1
            self._answered[kind].set()
        finally:
            self._ledger.seconds[kind].append(time.monotonic() - began)


@contextmanager
def tapped(bus: Bus, ledger: Ledger) -> Iterator[None]:
    """Enter each answer in writing as it comes, also those that nobody waits for any more."""
    behind = bus.link.on_packet

    def tap(packet: Packet) -> None:
        if packet.topic.startswith(bus.reply_topic) and packet.correlation != b"echo":
            received = decode(packet, None)
            if isinstance(received.message, Answer):
                ledger.answers[received.envelope.correlation_id or ""].add(received.message.turn_id)
        behind(packet)

    bus.link.on_packet = tap
    yield
    bus.link.on_packet = behind


@asynccontextmanager
async def watched(bus: Bus, ledger: Ledger) -> AsyncIterator[None]:
    """Count how often each turn is told to have ended, and each of its sentences to sound."""

    async def count() -> None:
        async for received in heard:
            match received.message:
                case TurnEvent() as event:
                    ledger.endings[event.turn_id] += event.phase in OVER
                case PlaybackStatus(event="speaking_start") as status:
                    ledger.sentences[received.envelope.turn, status.n] += 1

    async with bus.listening(TurnEvent, PlaybackStatus) as heard:
        counting = asyncio.create_task(count())
        try:
            yield
        finally:
            counting.cancel()


class Healths:
    """What the fleet tells of itself, to be waited for."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._changed = asyncio.Event()
        self._heard: dict[Role, list[Health]] = defaultdict(list)
        bus.fleet.on_change.add(self._note)

    def of(self, role: Role) -> Health:
        """The last word of the fleet's own worker of a role."""
        return next(health for health in self._bus.fleet.workers() if _is(health, role))

    def forget(self) -> None:
        """Wait only for what is told from now on."""
        self._heard.clear()

    async def told(self, role: Role, status: str, within: float, *, but: int = 0) -> None:
        """Wait until a worker of a role, in another process than `but`, says this; TimeoutError if it does not."""
        async with asyncio.timeout(within):
            while not any(one.status == status and one.pid != but for one in self._heard[role]):
                self._changed.clear()
                await self._changed.wait()

    async def idle(self) -> None:
        """Wait until every worker says that it has nothing in hand."""
        async with asyncio.timeout(2 * BACK_WITHIN_S):
            for role in WORKERS:
                while not any(one.in_flight == one.queued == 0 for one in self._heard[role]):
                    self._changed.clear()
                    await self._changed.wait()

    def _note(self, health: Health) -> None:
        if _is(health, health.service):
            self._heard[health.service].append(health)
            self._changed.set()


def _is(health: Health, role: Role) -> bool:
    return health.service is role and health.instance == "1"


def descriptors(pid: int | str) -> list[str]:
    """What a process has open, without the numbers that tell sockets apart."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()).partition(":[")[0])
        except FileNotFoundError:
            continue  # the one through which we look
    return sorted(found)


def left_over() -> tuple[list[str], int, int]:
    """What this process has open, its tasks, and its futures that nobody has resolved."""
    gc.collect()
    futures = sum(isinstance(one, asyncio.Future) and not one.done() for one in gc.get_objects())
    return descriptors("self"), len(asyncio.all_tasks()), futures


@pytest.fixture
def question(own_fleet) -> Path:
    path = own_fleet.home / "question.wav"
    own_fleet.mynah("say", "what time is it", "-o", str(path))
    return path


@pytest.mark.req("F01", "F02", "F05", "MQ-20", "SHD-03", "MQ-10")
async def test_whoever_is_killed_comes_back_and_no_turn_is_lost_or_answered_twice(own_fleet, question):
    ledger = Ledger()
    mine = left_over()
    open_before: dict[Role, list[str]] = {}
    open_after: dict[Role, list[str]] = {}
    async with Bus(Role.GUEST, own_fleet.settings) as bus:
        healths = Healths(bus)
        await bus.until_up(*WORKERS, timeout=BACK_WITHIN_S)
        with tapped(bus, ledger):
            async with watched(bus, ledger):
                people = People(bus, own_fleet.settings, question, ledger)
                async with people.talking():
                    await people.answered()  # whatever is opened at first is open now
                supervisor = descriptors(own_fleet.process.pid)

                for victims in (WORKERS[:3], WORKERS[3:]):
                    survivors = [role for role in WORKERS if role not in victims]
                    open_before |= {role: descriptors(healths.of(role).pid) for role in survivors}
                    async with people.talking():
                        for victim in victims:
                            await _kill(own_fleet, healths, victim, ledger)
                            await people.answered()
                    open_after |= {role: descriptors(healths.of(role).pid) for role in survivors}
                assert open_after == open_before

                open_before = {role: descriptors(healths.of(role).pid) for role in WORKERS}
                async with people.talking():
                    for _ in range(BROKERS):
                        await _kill_broker(own_fleet, healths, ledger)
                        await people.answered()
                healths.forget()
                await healths.idle()
                open_after = {role: descriptors(healths.of(role).pid) for role in WORKERS}
                assert open_after == open_before
        assert bus.pending == 0
        assert descriptors(own_fleet.process.pid) == supervisor
    assert left_over() == mine

    figures = ledger.figures()
    sys.stdout.write(f"\n{json.dumps(figures | {'left_over': 0}, indent=2)}\n")
    assert figures["answered_twice"] == figures["ended_twice"] == figures["said_twice"] == 0


async def _kill(fleet, healths: Healths, victim: Role, ledger: Ledger) -> None:
    """Kill a worker; it is told to be down, what it started ends with it, and it is back in time."""
    pid = healths.of(victim).pid
    family = fleet.children(pid)
    healths.forget()
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    await healths.told(victim, "down", DOWN_WITHIN_S)
    ledger.noticed.append(time.monotonic() - began)
    await healths.told(victim, "up", BACK_WITHIN_S - (time.monotonic() - began), but=pid)
    ledger.workers_back.append(time.monotonic() - began)
    assert await asyncio.to_thread(fleet.gone, family, 1.0)


async def _kill_broker(fleet, healths: Healths, ledger: Ledger) -> None:
    """Kill the broker; every worker is back in time."""
    pid = fleet.broker()
    healths.forget()
    began = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    for role in WORKERS:
        await healths.told(role, "up", BACK_WITHIN_S - (time.monotonic() - began))
    ledger.brokers_back.append(time.monotonic() - began)
