"""The keeper of one process of `mynah up`, with a process in place of a worker."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mynah.fleet import FIRST_PAUSE_S, GRACE_S, LONGEST_PAUSE_S, STEADY_AFTER_S, Keeper, Pauses, Spec, ending
from mynah_bus.run import STOPS_WITHIN
from mynah_contracts import Role

WAIT = "import threading\nthreading.Event().wait()\n"
LISTEN = "import signal\nsignal.signal(signal.SIGTERM, lambda *_: print('bye', flush=True) or exit(0))\n"


class Stage:
    """Where a keeper can be watched."""

    def __init__(self, program: str, folder: Path) -> None:
        (folder / "memory_worker.py").write_text(program)
        self.lines: list[str] = []
        self.told: list[str] = []
        self._said = asyncio.Event()
        self._keeper = Keeper(Spec(Role.MEMORY, "1", {"PYTHONPATH": str(folder)}), self._say, self._speak_for)

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[None]:
        keeping = asyncio.create_task(self._keeper.keep())
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})

    async def until_said(self, words: str) -> None:
        async with asyncio.timeout(20):
            while not any(words in line for line in self.lines):
                self._said.clear()
                await self._said.wait()

    async def _speak_for(self, spec: Spec, why: str) -> None:
        assert spec.name == "memory/1"
        self.told.append(why)

    def _say(self, who: str, line: str, style: str) -> None:
        assert who == "memory/1"
        assert style == ("red" if "again in" in line else "")
        self.lines.append(line)
        self._said.set()


@pytest.fixture
def stage(tmp_path: Path) -> Callable[[str], Stage]:
    return lambda program: Stage(program, tmp_path)


def test_pauses_grow_up_to_a_limit_and_begin_anew_after_a_long_life():
    pauses = Pauses()

    grown = [pauses.after(1.0) for _ in range(8)]

    assert grown == [min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S) for number in range(8)]
    assert [pauses.after(STEADY_AFTER_S + 1), pauses.after(1.0)] == [FIRST_PAUSE_S, 2 * FIRST_PAUSE_S]


def test_what_all_others_need_is_not_waited_for_long():
    pauses = Pauses(longest=2.0)

    assert [pauses.after(1.0) for _ in range(5)] == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_a_worker_ends_itself_before_it_is_killed():
    assert STOPS_WITHIN < GRACE_S < 10.0


async def test_a_line_without_end_is_left_out_and_all_others_are_shown(stage):
    watched = stage(f"print('before')\nprint('x' * 1_000_000)\nprint('after', flush=True)\n{WAIT}")

    async with watched.keeping():
        await watched.until_said("after")

    assert "before" in watched.lines
    assert max(map(len, watched.lines)) < 100


async def test_last_words_at_the_end_are_shown(stage):
    watched = stage(f"{LISTEN}print('here', flush=True)\n{WAIT}")

    async with watched.keeping():
        await watched.until_said("here")

    assert watched.lines == ["here", "bye"]


async def test_who_dies_is_started_again(stage):
    watched = stage("import os\nprint('here', flush=True)\nos.kill(os.getpid(), 9)\n")

    async with watched.keeping():
        await watched.until_said("again in 0.5 s")

    assert watched.lines[:3] == ["here", "ended with signal SIGKILL; starting it again in 0.25 s.", "here"]


async def test_who_dies_again_and_again_is_spoken_for(stage):
    watched = stage("raise SystemExit('The index is damaged.')\n")

    async with watched.keeping():
        await watched.until_said("again in 2 s")

    ends = [line for line in watched.lines if line.startswith("ended")]
    why = "It dies again and again; its last words: The index is damaged."
    assert [line.endswith(f"s. {why}") for line in ends] == [False, False, True, True]
    assert watched.told[0] == why


def test_an_end_is_told_in_words():
    assert [ending(code) for code in (0, 70, -signal.SIGKILL)] == ["exit code 0", "exit code 70", "signal SIGKILL"]
