"""Our side of the comparison, as processes: `memory` answers requests, `ask` makes them, `count` counts frames.

`ask` and `count` print `ready`, and answer each line of standard input with a line of JSON: `IN_FLIGHT SECONDS` has so
many requests under way for so long; `FRAMES` is repeated, then answered when so many frames have come, every BATCH of
which is confirmed on their reply topic. The broker and the password come from the environment, as for any worker.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from typing import Final

import orjson
import uvloop

from mynah_bus import Bus, Context, Received, Worker, handles, run
from mynah_bus.wire import encode
from mynah_contracts import Accepted, Role
from mynah_contracts.memory import MemoryQuery, MemoryResults, Remembered
from mynah_contracts.stt import TranscribePart

PAYLOAD: Final = 300
BATCH: Final = 100


def _padding(empty: MemoryQuery | MemoryResults, reply_to: str | None = None) -> str:
    """What makes a message's payload PAYLOAD bytes long, give or take the digits of a counter."""
    packet = encode(
        empty, topic="", source="memory/bench", context=Context(), correlation_id="0" * 16, reply_to=reply_to
    )
    return "a" * (PAYLOAD - len(packet.payload))


def _results(text: str) -> MemoryResults:
    return MemoryResults(results=[Remembered(text=text)])


class Memory:
    """Remembers one thing, and finds it whatever is asked."""

    def __init__(self) -> None:
        self._text = _padding(_results(""))

    @handles(at_once=4)
    async def find(self, _: MemoryQuery) -> MemoryResults:
        """Tell what is remembered."""
        return _results(self._text)


def memory() -> Worker:
    """The worker that is asked."""
    return Worker(Role.MEMORY, Memory())


async def ask() -> None:
    """Have requests answered, and say how long each took."""
    async with Bus(Role.LLM) as bus:
        await bus.ready(10)
        await bus.until_up(Role.MEMORY, timeout=10)
        text = _padding(MemoryQuery(text=""), f"{bus.reply_topic}/memory")
        async for line in _lines():
            in_flight, seconds = line.split()
            _say(await _round(bus, text, int(in_flight), float(seconds)))


async def _round(bus: Bus, text: str, in_flight: int, seconds: float) -> dict[str, float]:
    took: list[float] = []
    began, processor = time.perf_counter(), time.process_time()

    async def one_after_the_other() -> None:
        asked = began
        while asked - began < seconds:
            asked = time.perf_counter()
            await bus.request(MemoryQuery(text=text), MemoryResults)
            took.append(time.perf_counter() - asked)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(in_flight):
            tasks.create_task(one_after_the_other())
    lasted, processor = time.perf_counter() - began, time.process_time() - processor
    took.sort()
    return {
        "p50_ms": took[len(took) // 2] * 1e3,
        "p99_ms": took[int(len(took) * 0.99)] * 1e3,
        "per_s": len(took) / lasted,
        "cpu_us": processor / len(took) * 1e6,
    }


class Counter:
    """Counts frames as they arrive; a round ends with the frame that makes its number full."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._received = 0
        self._expected = 0
        self._began = 0.0
        self._processor = 0.0
        self._full = asyncio.Event()

    def expect(self, frames: int) -> None:
        """Begin a round of so many frames."""
        self._expected = frames
        self._full.clear()

    async def rate(self) -> dict[str, float]:
        """Wait for the end of the round; how many frames came in a second, and what each cost of the processor."""
        await self._full.wait()
        frames = self._expected
        lasted, processor = time.perf_counter() - self._began, time.process_time() - self._processor
        return {"per_s": (frames - 1) / lasted, "cpu_us": processor / (frames - 1) * 1e6}

    def receive(self, received: Received) -> None:
        """Take a frame."""
        if self._received == 0:
            self._began, self._processor = time.perf_counter(), time.process_time()
        self._received += 1
        if self._received % BATCH == 0 and received.reply_to is not None:
            self._bus.reply(Accepted(), received.reply_to, correlation_id=None, correlation=None, context=Context())
        if self._received == self._expected:
            self._received = 0
            self._full.set()


async def count() -> None:
    """Hear frames as typed messages."""
    bus = Bus(Role.STT)
    counter = Counter(bus)
    bus.route(TranscribePart, counter.receive)
    async with bus:
        await bus.ready(10)
        async for line in _lines():
            counter.expect(int(line))
            _say({"expected": int(line)})
            _say(await counter.rate())


def _say(figures: dict[str, float]) -> None:
    print(orjson.dumps(figures).decode(), flush=True)


async def _lines() -> AsyncIterator[str]:
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        yield line


def _main(mode: str) -> None:
    if mode == "memory":
        run(memory)
        return
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run({"ask": ask, "count": count}[mode]())


if __name__ == "__main__":
    _main(sys.argv[1])
