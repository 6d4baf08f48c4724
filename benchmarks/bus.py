"""How fast a typed request is answered and how many frames a second arrive, beside an MQTT client in C.

Both sides use one mosquitto with our configuration and rights, over TCP on loopback, and take turns; the last line is
JSON.
On a busy machine `cpu_us` is the figure to trust: what a request costs its asker, what a frame costs its receiver.
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from ctypes.util import find_library
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Final, Self

import orjson
import uvloop

from mynah_bus.child import die_with_parent
from mynah_bus.mosquitto import Mosquitto, passwords, program
from mynah_contracts import Role

PEERS: Final = Path(__file__).resolve().parent / "bus_peers"
REPETITIONS: Final = 8
SECONDS: Final = 0.5
BATCH: Final = 100
"""Frames that are confirmed at once."""
FRAMES_PER_S: Final = 40_000
FRAMES_OF_C: Final = 0.36
"""What that number was of the rate of C, on the machine where it was set."""
ANSWERS_WITHIN: Final = 20.0
"""Seconds for one turn of one side; longer means that something was lost."""

Turn = dict[str, float]


class Skipped(Exception):
    """Something that this machine lacks."""


class Peer:
    """A process of either side; told a line, it takes its turn and says in JSON how it went."""

    def __init__(self, name: str, command: list[str], home: Path, environment: dict[str, str]) -> None:
        self._name = name
        self._command = command
        self._home = home
        self._environment = os.environ | environment
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=self._environment,
            preexec_fn=die_with_parent,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._running
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def ready(self) -> None:
        """Wait until it has subscribed."""
        await self._line()

    async def told(self) -> Turn:
        """What it says next."""
        turn: Turn = orjson.loads(await self._line())
        return turn

    async def turn(self, line: str) -> Turn:
        """Let it take its turn, and say how it went."""
        assert self._running.stdin is not None
        self._running.stdin.write(f"{line}\n".encode())
        return await self.told()

    async def _line(self) -> bytes:
        assert self._running.stdout is not None
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                line = await self._running.stdout.readline()
        except TimeoutError as error:
            raise TimeoutError(f"{self._name} says nothing for {ANSWERS_WITHIN:g} s") from error
        if not line:
            raise RuntimeError(f"{self._name} ended with {await self._running.wait()}")
        return line

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process


class Side:
    """What one side reached, turn by turn."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def median(self, key: str) -> float:
        """Of all turns."""
        return median(turn[key] for turn in self.turns)


@dataclass(frozen=True, slots=True)
class Match:
    """The same work done by C and by us, in turns."""

    c: Side = field(default_factory=Side)
    ours: Side = field(default_factory=Side)

    def ratio(self, key: str) -> float:
        """Ours to C's: the median of what each repetition says, because both had the same neighbours in it."""
        return median(ours[key] / c[key] for c, ours in zip(self.c.turns, self.ours.turns, strict=True))

    def figure(self, key: str, bound: float) -> dict[str, Any]:
        """The ratio beside its goal and both sides' figures: a time is `bound` x C at most, a rate at least."""
        value, is_time = self.ratio(key), key.endswith("ms")
        unit = "ms" if is_time else "per_s"
        return {
            "value": rounded(value),
            "goal": f"{'<=' if is_time else '>='} {bound:g} x C",
            "holds": value <= bound if is_time else value >= bound,
            "compared": self.beside(key, unit) | self.beside("cpu_us", "cpu_us"),
        }

    def beside(self, key: str, unit: str) -> dict[str, float]:
        """The medians of both sides."""
        return {f"c_{unit}": rounded(self.c.median(key)), f"ours_{unit}": rounded(self.ours.median(key))}


def rounded(value: float) -> float:
    """Four digits: more are noise."""
    return float(f"{value:.4g}")


async def compiled(folder: Path) -> Path:
    """The client in C; Skipped says what this machine lacks for it."""
    library = find_library("mosquitto")
    if library is None:
        raise Skipped("libmosquitto is not installed (Debian: libmosquitto1).")
    if shutil.which("gcc") is None:
        raise Skipped("gcc is not installed.")
    if program() is None:
        raise Skipped("mosquitto is not installed.")
    client = folder / "client"
    source = str(PEERS / "client.c")
    gcc = await asyncio.create_subprocess_exec("gcc", "-O2", "-o", str(client), source, f"-l:{library}")
    if await gcc.wait() != 0:
        raise Skipped("gcc cannot compile the client in C.")
    return client


class Arena:
    """A broker and the processes of both sides."""

    def __init__(self, home: Path, client: Path, port: int) -> None:
        self._home = home
        self._client = client
        self._port = port
        self._passwords = passwords(home)

    def c(self, name: str, role: Role, *words: str) -> Peer:
        """The client in C, with the rights of a role."""
        command = [str(self._client), "127.0.0.1", str(self._port), role.value, *words]
        return Peer(name, command, self._home, {"MQTT_PASSWORD": self._passwords[role]})

    @asynccontextmanager
    async def asking_c(self) -> AsyncIterator[Peer]:
        """A client in C that asks another one."""
        topic, replies = "mynah/memory/query/c", "mynah/reply/llm/c/memory"
        async with self.c("the C echo", Role.MEMORY, topic, "echo", replies) as echo:
            await echo.ready()
            async with self.c("the C client", Role.LLM, replies, "ask", topic) as asker:
                await asker.ready()
                yield asker

    def ours(self, name: str, mode: str, role: Role) -> Peer:
        """Our bus, with the rights of a role; in a home of its own, else it would take the broker's socket file."""
        environment = {
            "MYNAH_BROKER_URL": f"mqtt://127.0.0.1:{self._port}",
            "MYNAH_BROKER_PASSWORD": self._passwords[role],
            "MYNAH_HOME": str(self._home / "ours"),
            "MYNAH_INSTANCE": "bench",
            "MYNAH_LOG_LEVEL": "WARNING",
        }
        return Peer(name, [sys.executable, str(PEERS / "ours.py"), mode], self._home, environment)


async def requests(arena: Arena) -> tuple[Match, Match]:
    """Requests one after the other, and 32 at a time."""
    alone, crowd = Match(), Match()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(arena.ours("our worker", "memory", Role.MEMORY))
        c = await stack.enter_async_context(arena.asking_c())
        ours = await stack.enter_async_context(arena.ours("our asker", "ask", Role.LLM))
        await ours.ready()
        for peer in (c, ours):
            await peer.turn("32 0.5")  # both are warm when it counts
        for repetition in range(REPETITIONS):
            for in_flight, match in ((1, alone), (32, crowd)):
                match.c.turns.append(await c.turn(f"{in_flight} {SECONDS}"))
                match.ours.turns.append(await ours.turn(f"{in_flight} {SECONDS}"))
            print(f"requests {repetition + 1}/{REPETITIONS}: {_told(alone, 'p50_ms')}; 32: {_told(crowd, 'per_s')}")
    return alone, crowd


async def frames(arena: Arena) -> Match:
    """Frames one way, sent by C as fast as they are confirmed."""
    match = Match()
    topic, replies = "mynah/stt/transcribe_part", "mynah/reply/satellite/c/stt"
    async with AsyncExitStack() as stack:
        sender = await stack.enter_async_context(arena.c("the sender", Role.SATELLITE, replies, "send", replies))
        c = await stack.enter_async_context(arena.c("the C counter", Role.STT, f"{topic}/c", "count", replies))
        ours = await stack.enter_async_context(arena.ours("our counter", "count", Role.STT))
        for peer in (sender, c, ours):
            await peer.ready()

        async def turn(counter: Peer, instance: str, before: Turn) -> Turn:
            count = max(1, round(before["per_s"] * SECONDS / BATCH)) * BATCH  # what takes a turn, as far as one knows
            await counter.turn(str(count))  # it repeats the number
            await sender.turn(f"{topic}/{instance} {count}")
            return await counter.told()

        last_c = await turn(c, "c", {"per_s": 5_000})
        last_ours = await turn(ours, "bench", {"per_s": 5_000})
        for repetition in range(REPETITIONS):
            match.c.turns.append(last_c := await turn(c, "c", last_c))
            match.ours.turns.append(last_ours := await turn(ours, "bench", last_ours))
            print(f"frames {repetition + 1}/{REPETITIONS}: {_told(match, 'per_s')}")
    return match


def _told(match: Match, key: str) -> str:
    unit = "ms" if key.endswith("ms") else "/s"
    return f"C {match.c.turns[-1][key]:,.4g} {unit}, ours {match.ours.turns[-1][key]:,.4g} {unit}"


async def measured(home: Path) -> dict[str, Any]:
    """Every figure of this benchmark."""
    client = await compiled(home)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    async with Mosquitto(home, port=port):
        arena = Arena(home, client, port)
        alone, crowd = await requests(arena)
        heard = await frames(arena)
    rate = heard.ours.median("per_s")
    return {
        "request_p50_ratio": alone.figure("p50_ms", 4),
        "request_p99_ratio": alone.figure("p99_ms", 10),
        "requests_32_ratio": crowd.figure("per_s", 0.4),
        "frames_ratio": heard.figure("per_s", FRAMES_OF_C),
        "frames_per_s": {
            "value": round(rate),
            "goal": f">= {FRAMES_PER_S:,}",
            "holds": rate >= FRAMES_PER_S,
            "compared": heard.beside("per_s", "per_s") | heard.beside("cpu_us", "cpu_us"),
        },
    }


def main() -> None:
    """Measure, and say it in one line of JSON."""
    result: dict[str, Any] = {"name": "bus", "figures": {}}
    with tempfile.TemporaryDirectory(prefix="mynah-bench-") as home:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                result["figures"] = runner.run(measured(Path(home)))
        except Skipped as skipped:
            print(f"Skipped: {skipped}")
            result["skipped"] = str(skipped)
    print(orjson.dumps(result).decode())


if __name__ == "__main__":
    main()
