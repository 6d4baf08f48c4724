"""How long a turn takes, what the fleet costs while nobody speaks, and how soon it is there; the last line is JSON.

Real processes over a real broker. Null engines say what the house itself takes of a turn that goes all the way:
utterance, transcript, no intent, memory, language model, sentence, first piece of speech. What recogniser, synthesizer
and the memory's search tell that they took of that turn, the way to their process and threads, is not counted and
stands beside it, and so do the whole and the time that as many messages take between clients in C, which tells how
fast the machine is. One turn begins when all is quiet after the one before, and the memory keeps nothing: it would hold
one sentence hundreds of times.

The embedded engines say what a person waits: from the end of their speech, silence that ends it included, to the
first sound of the answer.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import numpy as np
import orjson
import uvloop
from bus import Arena, Skipped, compiled

from mynah_audio.pcm import SAMPLE_RATE, Samples, to_bytes
from mynah_audio.recording import load
from mynah_audio.writer import WavWriter
from mynah_bus import Bus, BusSettings, Received, Worker, conversation, new_id
from mynah_bus.mqtt import Address
from mynah_contracts import (
    MemoryResults,
    PlaybackControl,
    PlaybackStatus,
    Role,
    Said,
    SatelliteControl,
    Say,
    Speech,
    SpokenRecording,
    Synthesize,
    Transcribe,
    Transcript,
    TurnEvent,
    WakeEvent,
)
from satellite.room import Room
from satellite.sinks import NullSink
from satellite.sources import FileSource
from satellite.worker import make_listener

WORKERS: Final = (Role.STT, Role.TTS, Role.MEMORY, Role.ROUTER, Role.LLM, Role.SATELLITE)
NULL: Final = {
    **{f"MYNAH_{role}_ENGINE": "scripted" for role in ("STT", "TTS", "LLM")},
    "MYNAH_MEMORY_LISTEN": "false",
}
WARM_UP: Final = 30
FLEETS: Final = 3
"""How a fleet comes to lie in memory makes a tenth of a turn."""
TURNS: Final = 200
"""Of each fleet."""
MESSAGES: Final = 8
"""Of a turn, each of which waits for the one before."""
QUIET_S: Final = 0.02
"""Between two turns: what follows the first sound of one is not to be paid by the next."""
QUESTIONS: Final = ("what time is it", "what is the date today", "what day is it")
SPOKEN: Final = 9
INTERRUPTIONS: Final = 10
STARTS: Final = 3
IDLE_S: Final = 10.0
HEALTH_S: Final = 12.0
"""Seconds in which every worker tells its health once."""
SILENCE_S: Final = 2.0
LOUD: Final = 300
"""What a sample of speech exceeds; eSpeak's pauses are digital silence."""
OVER: Final = frozenset({"done", "cancelled", "failed"})
PLACE: Final = "bench"


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running `mynah up`."""

    process: subprocess.Popen[str]
    settings: BusSettings
    up_s: float

    @property
    def pids(self) -> list[int]:
        """It and all that it started."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        family = [self.process.pid]
        for pid in family:
            family += [child for child, parent in parents.items() if parent == pid]
        return family


@contextmanager
def running(engines: Mapping[str, str]) -> Iterator[Fleet]:
    """A fleet in a home of its own, once everybody is up."""
    with tempfile.TemporaryDirectory(prefix="mynah-bench-") as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"mqtt://127.0.0.1:{probe.getsockname()[1]}"
        probe.close()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MYNAH_")}
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "mynah", "up"],
            env={**kept, **engines, "MYNAH_HOME": home, "MYNAH_BROKER_URL": url},
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            said = next((line for line in process.stdout if "Everybody is up" in line), None)
            if said is None:
                raise RuntimeError("The fleet did not come up.")
            yield Fleet(process, BusSettings(home=Path(home), broker_url=url), time.monotonic() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=15)


@dataclass(frozen=True, slots=True)
class Took:
    """What a turn with null engines took, in ms."""

    whole: float
    recogniser: float
    """Hosting the recogniser: to its process and back."""
    synthesizer: float
    """Hosting the synthesizer: to its thread and back, with the first piece."""
    search: float
    """Hosting the memory's search: to its thread and back, with nothing found."""

    @property
    def own(self) -> float:
        """All but the engines."""
        return self.whole - self.recogniser - self.synthesizer - self.search


async def own_cost(fleet: Fleet) -> list[Took]:
    """From an utterance being sent to the first piece of speech, turn after turn."""
    utterance = Transcribe(audio=to_bytes(np.zeros(SAMPLE_RATE, np.int16)), satellite=PLACE)
    turns = []
    async with satellite(fleet) as bus, Bus(Role.GUEST, fleet.settings) as guest:
        await guest.ready(10)
        async with (
            bus.listening(Speech, SatelliteControl, TurnEvent) as heard,
            guest.listening(Said) as said,
            guest.listening(MemoryResults) as found,
        ):
            for _ in range(WARM_UP + TURNS):
                turn = new_id()
                with conversation(turn=turn, session=PLACE):
                    bus.publish(WakeEvent(type="wake", satellite=PLACE, cause="push_to_talk"))
                    await until_phase(heard, turn, "listening")
                    began = time.perf_counter()
                    asking = asyncio.create_task(bus.request(utterance, Transcript, timeout=10))
                    await asyncio.sleep(0)  # as a satellite does: the recording leaves first
                    bus.publish(WakeEvent(type="heard", satellite=PLACE))
                    await until(heard, turn, Speech)
                    whole = 1e3 * (time.perf_counter() - began)
                    recogniser = (await asking).ms
                    await until(heard, turn, SatelliteControl)  # no sentence follows
                    bus.publish(PlaybackStatus(event="speaking_end", satellite=PLACE))
                    await until_phase(heard, turn, "done")
                spoken, searched = (await anext(said)).message, (await anext(found)).message
                assert isinstance(spoken, Said)
                assert isinstance(searched, MemoryResults)
                turns.append(Took(whole, recogniser, spoken.first_ms, searched.ms))
                await asyncio.sleep(QUIET_S)
    return turns[WARM_UP:]


async def way_of_c(fleet: Fleet) -> dict[str, float]:
    """How long warm clients in C that do nothing else take for as many messages one after the other."""
    settings = fleet.settings
    try:
        client = await compiled(settings.home)
    except Skipped as skipped:
        print(f"Without C beside it: {skipped}")
        return {}
    async with Arena(settings.home, client, Address.parse(settings.broker_url).port).asking_c() as asker:
        return {"c_way_ms": rounded(MESSAGES / 2 * (await asker.turn("1 2"))["p50_ms"])}


@asynccontextmanager
async def satellite(fleet: Fleet) -> AsyncIterator[Bus]:
    """A satellite's connection that knows everybody to be up."""
    settings = fleet.settings.model_copy(update={"instance": PLACE})
    async with Bus(Role.SATELLITE, settings, where={"satellite": PLACE}) as bus:
        await bus.ready(10)
        await bus.until_up(*WORKERS, timeout=10)
        yield bus


async def until(heard: AsyncIterator[Received], turn: str, kind: type) -> None:
    """Pass over what is heard up to a message of this kind and turn."""
    async with asyncio.timeout(10):
        async for received in heard:
            if isinstance(received.message, kind) and received.envelope.turn == turn:
                return


async def until_phase(heard: AsyncIterator[Received], turn: str, phase: str) -> None:
    """Pass over what is heard until the turn has reached a phase."""
    async with asyncio.timeout(10):
        async for received in heard:
            event = received.message
            if isinstance(event, TurnEvent) and event.turn_id == turn:
                if event.phase == phase:
                    return
                if event.phase in OVER:
                    raise RuntimeError(f"The turn was {event.phase} before it was {phase}: {event.error}")


class Microphone(FileSource):
    """A recording at the pace of a microphone; knows when its first frame was due to begin."""

    began = 0.0

    async def __aiter__(self) -> AsyncIterator[Samples]:
        self.began = time.monotonic()
        async for frame in super().__aiter__():
            yield frame


class Loudspeaker(NullSink):
    """Plays into nothing, in real time; knows when sound began and when it ended."""

    def __init__(self) -> None:
        super().__init__()
        self.first: float | None = None
        self.last = 0.0
        self.sounds = asyncio.Event()

    async def _write(self, block: Samples) -> None:
        now = time.monotonic()
        if self.first is None and np.abs(block).max(initial=0) > LOUD:
            self.first = now
            self.sounds.set()
        self.last = now + len(block) / self.rate


async def first_sounds(fleet: Fleet) -> list[float]:
    """From the end of a spoken question to the first sound of its answer, in ms; what is not answered has none.

    The first question is not counted: it waits until the recogniser has learned the vocabulary.
    """
    waits = []
    folder = fleet.settings.home
    async with Bus(Role.GUEST, fleet.settings) as guest:
        await guest.until_up(*WORKERS, timeout=10)
        for number in range(1 + SPOKEN):
            text = QUESTIONS[number % len(QUESTIONS)]
            spoken = await guest.request(Synthesize(text=text), SpokenRecording, timeout=10)
            samples = load(spoken.audio).samples
            end_s = (int(np.flatnonzero(np.abs(samples) > LOUD)[-1]) + 1) / SAMPLE_RATE
            path = folder / f"question-{number}.wav"
            await asyncio.to_thread(_write, path, samples)
            wait = await _first_sound(fleet, path, end_s)
            if number and wait is not None:
                waits.append(wait)
    return waits


async def _first_sound(fleet: Fleet, question: Path, end_s: float) -> float | None:
    source, sink = Microphone(question), Loudspeaker()
    name = f"{PLACE}-{new_id()[-6:]}"
    bus = Bus(Role.SATELLITE, fleet.settings.model_copy(update={"instance": name}), where={"satellite": name})
    room = Room(bus, name, source, sink, make_listener)
    async with Worker(bus, room), asyncio.timeout(30):
        ended = await room.turn_over()
    print(f"{ended.phase} {ended.transcript!r}: {', '.join(f'{step.name} {step.ms:.0f}' for step in ended.steps)}")
    if ended.phase != "done" or sink.first is None:
        return None
    return 1e3 * (sink.first - source.began - end_s)


def _write(path: Path, question: Samples) -> None:
    """The question, followed by silence."""
    writer = WavWriter(path, SAMPLE_RATE)
    writer.write(np.concatenate((question, np.zeros(round(SILENCE_S * SAMPLE_RATE), np.int16))))
    writer.close()


async def interruptions(fleet: Fleet) -> list[float]:
    """From a guest's `stop` to the end of the last sample that sounded, in ms."""
    delays = []
    async with Bus(Role.GUEST, fleet.settings) as guest:
        await guest.until_up(*WORKERS, timeout=10)
        for _ in range(INTERRUPTIONS):
            sink = Loudspeaker()
            name = f"{PLACE}-{new_id()[-6:]}"
            bus = Bus(Role.SATELLITE, fleet.settings.model_copy(update={"instance": name}), where={"satellite": name})
            room = Room(bus, name, None, sink, make_listener)
            async with Worker(bus, room), asyncio.timeout(30):
                await guest.request(Say(text="one two three four five six seven " * 5, satellite=name), Said)
                await sink.sounds.wait()
                told = time.monotonic()
                guest.publish(PlaybackControl(action="stop", satellite=name))
                await room.mouth.silent.wait()
                delays.append(1e3 * (sink.last - told))
    return delays


async def idle(fleet: Fleet) -> tuple[float, float, float]:
    """Proportional and resident memory in MB and CPU in percent of one core, of all processes together."""
    pids = fleet.pids
    before = _cpu_s(pids)
    began = time.monotonic()
    await asyncio.sleep(IDLE_S)
    cpu = 100 * (_cpu_s(pids) - before) / (time.monotonic() - began)
    return _memory_mb(pids, "Pss:"), _memory_mb(pids, "Rss:"), cpu


def _cpu_s(pids: list[int]) -> float:
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _memory_mb(pids: list[int], what: str) -> float:
    lines = (line.split() for pid in pids for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines())
    return sum(int(line[1]) for line in lines if line[0] == what) / 1024


@dataclass(frozen=True, slots=True)
class Stalls:
    """What each worker tells of its event loop, in ms."""

    longest: dict[str, float]
    p99: dict[str, float]


async def stalls(fleet: Fleet) -> Stalls:
    """How long the event loops of the workers did not turn."""
    async with Bus(Role.GUEST, fleet.settings) as guest:
        await guest.until_up(*WORKERS, timeout=10)
        await asyncio.sleep(HEALTH_S)
        up = [one for one in guest.fleet.workers() if one.status == "up"]
        return Stalls(
            {one.service.value: one.stall_max_ms for one in up}, {one.service.value: one.stall_p99_ms for one in up}
        )


def worst(one: dict[str, float], other: dict[str, float]) -> dict[str, float]:
    """The greater of two figures of each worker."""
    return {role: max(ms, other.get(role, 0.0)) for role, ms in one.items()}


async def measured() -> dict[str, Any]:
    """All figures."""
    turns = []
    for number in range(FLEETS):
        with running(NULL) as fleet:
            turns += await own_cost(fleet)
            if number < FLEETS - 1:
                continue
            way = await way_of_c(fleet)
            stalled_null = await stalls(fleet)
    ups, quiet = [], (0.0, 0.0, 0.0)
    for start in range(STARTS):
        with running({}) as fleet:
            ups.append(fleet.up_s)
            if start < STARTS - 1:
                continue
            sounds = await first_sounds(fleet)
            cuts = await interruptions(fleet)
            stalled = await stalls(fleet)
            quiet = await idle(fleet)  # last, when everything has been loaded and learned
    pss, rss, cpu = quiet
    own = [turn.own for turn in turns]
    null = {
        "whole_p50_ms": rounded(median(turn.whole for turn in turns)),
        "null_recogniser_ms": rounded(median(turn.recogniser for turn in turns)),
        "null_synthesizer_ms": rounded(median(turn.synthesizer for turn in turns)),
        "search_ms": rounded(median(turn.search for turn in turns)),
        **way,
    }
    asked = {"home_assistant_silence_alone_ms": 700, "asked": SPOKEN, "answered": len(sounds)}
    longest, p99 = worst(stalled.longest, stalled_null.longest), worst(stalled.p99, stalled_null.p99)
    load = {"load_average": rounded(os.getloadavg()[0])}
    return {
        "turn_own_p50_ms": figure(median(own), 5, "<=", null | load),
        "turn_own_p99_ms": figure(quantiles(own, n=100)[98], 20, "<=", null | load),
        "first_sound_p50_ms": figure(median(sounds), 700, "<=", asked | load),
        "barge_in_ms": figure(max(cuts), 150, "<=", {"median_ms": rounded(median(cuts)), "peers_ms": "200 to 500"}),
        "up_s": figure(median(ups), 6, "<=", {"slowest_s": rounded(max(ups))} | load),
        "idle_mb": figure(pss, 450, "<=", {"measured": "PSS", "rss_mb": rounded(rss)}),
        "idle_cpu_percent": figure(cpu, 3, "<=", {"seconds": IDLE_S}),
        "stall_max_ms": figure(max(longest.values()), 50, "<", longest | load),
        "stall_p99_ms": figure(max(p99.values()), 10, "<", p99 | load),
    }


def figure(value: float, goal: float, relation: str, compared: dict[str, Any]) -> dict[str, Any]:
    """A value beside its goal."""
    holds = value <= goal if relation == "<=" else value < goal
    return {"value": rounded(value), "goal": f"{relation} {goal:g}", "holds": holds, "compared": compared}


def rounded(value: float) -> float:
    """Four digits: more are noise."""
    return float(f"{value:.4g}")


def main() -> None:
    """Measure, and say it in one line of JSON."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        figures = runner.run(measured())
    print(orjson.dumps({"name": "turn", "figures": figures}).decode())


if __name__ == "__main__":
    main()
