"""What the task engine costs: doing nothing, writing down, waiting, and crossing into a process.

Beside it what stands for the same: asyncio's own queue and SQLite itself, in turns with ours, the best turn of each;
and once each taskiq, huey, and streaQ on a Redis server. The last line is JSON. On a busy machine `cpu_us` is the
figure to trust: what a task costs this process.
"""

import asyncio
import shutil
import socket
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

import orjson
import uvloop
from tasks_peers import durable, noop

from mynah_bus.child import die_with_parent
from mynah_tasks.engine import TaskEngine
from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.facades import EnhancedVoiceEngine
from mynah_tasks.task import Task

REPETITIONS: Final = 5
NOOPS: Final = 2_000
NOOP_TURNS: Final = 20
"""More and shorter turns than of what waits for a disk: the best one is looked for."""
PEER_NOOPS: Final = 1_000
DURABLE: Final = 6_400
PEER_DURABLE: Final = 640
CALLS: Final = 1_000
QUEUED: Final = 10_000
MEGABYTE: Final = bytes(2**20)

Figures = dict[str, dict[str, Any]]
Runs = list[tuple[float, float]]
"""Tasks a second, and microseconds of the processor for each, run by run."""


def rounded(value: float) -> float:
    """Four digits: more are noise."""
    return float(f"{value:.4g}")


def figure(value: float, sign: str, goal: float, **compared: float) -> dict[str, Any]:
    """A value beside its goal, and what it was compared with."""
    return {
        "value": rounded(value),
        "goal": f"{sign} {goal:,g}",
        "holds": value <= goal if sign == "<=" else value >= goal,
        "compared": {name: rounded(other) for name, other in compared.items()},
    }


def rate(runs: Runs) -> float:
    """Tasks a second: the best run, in which the neighbours disturbed least."""
    return max(per_s for per_s, _ in runs)


def cost(runs: Runs) -> float:
    """Microseconds of the processor for a task, in the best run."""
    return min(cpu_us for _, cpu_us in runs)


def p99(values: list[float]) -> float:
    """What one in a hundred exceeds."""
    return quantiles(values, n=100)[98]


@asynccontextmanager
async def redis(folder: Path) -> AsyncIterator[str | None]:
    """The address of a server that keeps what it is given; None where none is installed."""
    program = shutil.which("redis-server")
    if program is None:
        print("Without streaQ: redis-server is not installed.")
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    command = [program, "--port", str(port), "--dir", str(folder), "--appendonly", "yes", "--save", ""]
    server = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, preexec_fn=die_with_parent)
    assert server.stdout is not None
    try:
        while b"Ready to accept connections" not in (line := await server.stdout.readline()):
            if not line:
                raise RuntimeError("redis-server did not start")
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.terminate()
        await server.communicate()


async def doing_nothing(url: str | None) -> Figures:
    """No-op tasks, from being submitted to having their result."""
    ours, bare, taskiq, streaq = Runs(), Runs(), Runs(), Runs()
    for _ in range(NOOP_TURNS):
        ours.append(await noop.ours(NOOPS))
        bare.append(await noop.bare(NOOPS))
    print(f"no-op tasks: ours {rate(ours):,.0f}/s, asyncio's queue {rate(bare):,.0f}/s")
    taskiq.append(await noop.taskiq(PEER_NOOPS))
    if url:
        streaq.append(await noop.streaq(PEER_NOOPS, url))
    peers = {"asyncio": bare, "taskiq": taskiq, "streaq": streaq}
    return {
        "noop_per_s": figure(
            rate(ours),
            ">=",
            30_000,
            ours_cpu_us=cost(ours),
            asyncio_cpu_us=cost(bare),
            **{f"{name}_per_s": rate(runs) for name, runs in peers.items() if runs},
        )
    }


async def writing_down(folder: Path, url: str | None) -> Figures:
    """Tasks that are accepted when they are on the disk."""
    ours, grouped, raw, huey, streaq = Runs(), Runs(), Runs(), Runs(), Runs()
    for turn in range(REPETITIONS):
        ours.append(await durable.ours(folder / f"ours-{turn}.db", DURABLE))
        raw.append(durable.raw(folder / f"raw-{turn}.db", PEER_DURABLE, 1))
        grouped.append(durable.raw(folder / f"grouped-{turn}.db", DURABLE // durable.SUBMITTERS, durable.SUBMITTERS))
        print(
            f"durable tasks: ours {ours[-1][0]:,.0f}/s, raw commits {raw[-1][0]:,.0f}/s, of 64 {grouped[-1][0]:,.0f}/s"
        )
    huey.append(durable.huey(folder / "huey.db", PEER_DURABLE))
    if url:
        streaq.append(await durable.streaq(url, PEER_DURABLE))
    alone = [
        await durable.alone(folder / f"raw-alone-{turn}.db", folder / f"alone-{turn}.db", CALLS)
        for turn in range(REPETITIONS)
    ]
    raw_ms, our_ms = min(((median(raw_ms), median(our_ms)) for raw_ms, our_ms in alone), key=sum)
    peers = {"raw_commit": raw, "raw_commits_of_64": grouped, "huey": huey, "streaq": streaq}
    return {
        "durable_per_s": figure(
            rate(ours),
            ">=",
            10_000,
            ours_cpu_us=cost(ours),
            **{f"{name}_per_s": rate(runs) for name, runs in peers.items() if runs},
        ),
        "durable_single_ratio": figure(our_ms / raw_ms, "<=", 1.5, raw_commit_ms=raw_ms, ours_ms=our_ms),
    }


async def keeping() -> Figures:
    """Memory of tasks that wait, what the caller makes and hands over included."""
    engine = TaskEngine(max_workers=0, queue_size=QUEUED)
    async with engine:
        tracemalloc.start()
        for number in range(QUEUED):
            await engine.submit(Task("chat", {"user": number}))
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return {"bytes_per_task": figure(size / QUEUED, "<=", 700)}


class Ears:
    """Hears at once."""

    def listen_with_confidence(self, timeout: float) -> tuple[str, float]:  # noqa: ARG002  # this one waits for nobody
        """The same words each time."""
        return "turn on the light", 0.9


async def waiting() -> Figures:
    """Milliseconds of single calls: through the voice engine, into the queue, and to the beginning of the work."""
    listened: list[float] = []
    entered: list[float] = []
    begun: list[float] = []
    async with EnhancedVoiceEngine(Ears()) as voice:
        for _ in range(CALLS):
            began = time.perf_counter()
            await voice.listen_async()
            listened.append(1e3 * (time.perf_counter() - began))
    engine = TaskEngine()
    engine.register_processor("begin", lambda began: begun.append(1e3 * (time.perf_counter() - began)))
    async with engine:
        for _ in range(CALLS):
            began = time.perf_counter()
            task_id = await engine.submit(Task("begin", began))
            entered.append(1e3 * (time.perf_counter() - began))
            await engine.wait_for_task(task_id)
    return {
        "listen_p99_ms": figure(p99(listened), "<=", 5, p50_ms=median(listened)),
        "enqueue_p99_ms": figure(p99(entered), "<=", 1, p50_ms=median(entered)),
        "begin_p99_ms": figure(p99(begun), "<=", 5, p50_ms=median(begun)),
    }


async def crossing() -> Figures:
    """Milliseconds that a megabyte takes to a process, with a small answer back."""
    took: dict[bytes, list[float]] = {b"": [], MEGABYTE: []}
    async with Executors(processes=1) as executors:
        for _ in range(REPETITIONS):
            for payload, medians in took.items():
                times = []
                for _ in range(CALLS // 20):
                    began = time.perf_counter()
                    await executors.run(ExecutorKind.PROCESS, len, payload, timeout=10)
                    times.append(1e3 * (time.perf_counter() - began))
                medians.append(median(times))
    small, large = map(min, took.values())
    return {"process_mb_ms": figure(large, "<=", 0.6, nothing_ms=small)}


async def measured(folder: Path) -> Figures:
    """Every figure of this benchmark."""
    async with redis(folder) as url:
        figures = await doing_nothing(url)
        figures |= await writing_down(folder, url)
    return figures | await keeping() | await waiting() | await crossing()


def main() -> None:
    """Measure, and say it in one line of JSON."""
    with (
        tempfile.TemporaryDirectory(prefix="mynah-bench-") as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        figures = runner.run(measured(Path(folder)))
    sys.stdout.write(f"{orjson.dumps({'name': 'tasks', 'figures': figures}).decode()}\n")


if __name__ == "__main__":
    main()
