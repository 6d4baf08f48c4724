import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import uvloop

from mynah_tasks.executors import (
    DeadlineExceeded,
    ExecutorKind,
    Executors,
    ExecutorsClosed,
    NotPortable,
    ProcessDied,
    RemoteFailure,
)
from mynah_tasks.tests import deeds

PROCESS = ExecutorKind.PROCESS
HANGS = [deeds.hang_without_gil, deeds.hang_with_gil]


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


async def read(fifo: Path) -> int:
    return int(await asyncio.to_thread(fifo.read_text))


def wait_until_gone(pid: int) -> None:
    with suppress(ProcessLookupError):
        watch = select.poll()
        descriptor = os.pidfd_open(pid)
        watch.register(descriptor, select.POLLIN)
        gone = watch.poll(20_000)
        os.close(descriptor)
        assert gone


@pytest.mark.req("ENG-09")
async def test_a_task_in_a_process_runs_in_another_process():
    async with Executors() as executors:
        assert await executors.run(PROCESS, deeds.process_id, None, timeout=60) != os.getpid()


async def test_the_process_serves_one_task_after_the_other():
    async with Executors(processes=1) as executors:
        pids = [await executors.run(PROCESS, deeds.process_id, None, timeout=60) for _ in range(3)]
    assert len(set(pids)) == 1


@pytest.mark.req("ENG-13")
@pytest.mark.parametrize("hang", HANGS)
async def test_a_hung_c_call_is_reported_at_its_deadline_and_its_slot_comes_back(hang):
    async with Executors(processes=1) as executors:
        before = await executors.run(PROCESS, deeds.process_id, None, timeout=60)
        with pytest.raises(DeadlineExceeded, match=r"no answer after 0\.2 s"):
            await executors.run(PROCESS, hang, None, timeout=0.2)
        after = await executors.run(PROCESS, deeds.process_id, None, timeout=60)
        wait_until_gone(before)
        assert after != before
        assert executors.load().processes_replaced == 1


@pytest.mark.parametrize("hang", [deeds.say_and_hang_without_gil, deeds.say_and_hang_with_gil])
async def test_a_cancelled_task_has_its_process_killed(hang, fifo):
    async with Executors(processes=1) as executors:
        task = asyncio.create_task(executors.run(PROCESS, hang, str(fifo), timeout=None))
        pid = await read(fifo)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wait_until_gone(pid)
        assert await executors.run(PROCESS, deeds.process_id, None, timeout=60) != pid


async def test_a_deadline_kills_exactly_the_process_that_missed_it(fifo):
    async with Executors(processes=2) as executors:
        patient = asyncio.create_task(executors.run(PROCESS, deeds.read_from, str(fifo), timeout=None))
        with pytest.raises(DeadlineExceeded):
            await executors.run(PROCESS, deeds.hang_with_gil, None, timeout=0.1)
        await asyncio.to_thread(fifo.write_text, "unharmed")
        assert await patient == "unharmed"


async def test_programs_that_a_task_has_started_die_with_it(fifo):
    async with Executors(processes=1) as executors:
        task = asyncio.create_task(executors.run(PROCESS, deeds.start_a_program_and_hang, str(fifo), timeout=None))
        program = await read(fifo)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        wait_until_gone(program)


@pytest.mark.parametrize(
    ("deed", "payload", "said"),
    [
        (deeds.crash, None, r"killed by signal 11 \(Segmentation fault\)"),
        (deeds.vanish, 7, "ended with exit code 7"),
    ],
)
async def test_a_process_that_dies_fails_only_its_task(deed, payload, said, fifo, capfd):
    async with Executors(processes=2) as executors:
        neighbour = asyncio.create_task(executors.run(PROCESS, deeds.read_from, str(fifo), timeout=None))
        with pytest.raises(ProcessDied, match=said):
            await executors.run(PROCESS, deed, payload, timeout=60)
        await asyncio.to_thread(fifo.write_text, "unharmed")
        assert await neighbour == "unharmed"
        assert await executors.run(PROCESS, deeds.echo, "again", timeout=60) == "again"


async def test_an_idle_process_that_dies_is_no_ones_failure():
    async with Executors(processes=1) as executors:
        pid = await executors.run(PROCESS, deeds.process_id, None, timeout=60)
        os.kill(pid, signal.SIGKILL)
        wait_until_gone(pid)
        assert await executors.run(PROCESS, deeds.process_id, None, timeout=60) != pid


async def test_processes_that_come_and_go_leave_no_descriptors_and_no_threads_behind():
    def held():
        return len(list(Path("/proc/self/fd").iterdir())), {thread.name for thread in threading.enumerate()}

    before = held()
    async with Executors(processes=2) as executors:
        for _ in range(5):
            with pytest.raises(ProcessDied):
                await executors.run(PROCESS, deeds.vanish, 1, timeout=60)
            with pytest.raises(DeadlineExceeded):
                await executors.run(PROCESS, deeds.hang_with_gil, None, timeout=0.01)
    await asyncio.sleep(0)
    after = held()
    assert after[0] == before[0]
    assert not {name for name in after[1] - before[1] if name.startswith("mynah")}


@pytest.mark.parametrize(
    ("program", "error", "said"),
    [("/bin/false", ProcessDied, "ended with exit code 1"), ("/nowhere/python", FileNotFoundError, "nowhere")],
)
async def test_a_process_that_cannot_start_fails_its_task_and_the_next_one_is_tried_anew(
    monkeypatch, program, error, said, caplog
):
    async with Executors(processes=1) as executors:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", program)
            for _ in range(2):
                with pytest.raises(error, match=said):
                    await executors.run(PROCESS, deeds.echo, 1, timeout=60)
        with suppress(error):  # one more may have been started before the program was there again
            await executors.run(PROCESS, deeds.echo, 1, timeout=60)
        assert await executors.run(PROCESS, deeds.echo, "again", timeout=60) == "again"
    assert ("a worker process could not run" in caplog.text) is (error is FileNotFoundError)


async def test_memory_beyond_the_limit_fails_the_task_and_nothing_else():
    async with Executors(processes=1, process_memory=2 * 2**30) as executors:
        with pytest.raises(RemoteFailure, match="MemoryError"):
            await executors.run(PROCESS, deeds.allocate, 8 * 2**30, timeout=60)
        assert await executors.run(PROCESS, deeds.echo, "again", timeout=60) == "again"


async def test_what_a_task_raises_comes_back_with_the_place_where():
    async with Executors(processes=1) as executors:
        with pytest.raises(RemoteFailure, match="LookupError: no such voice") as caught:
            await executors.run(PROCESS, deeds.raise_error, "no such voice", timeout=60)
    assert "deeds.py" in caught.value.remote_traceback
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("deed", "payload", "said"),
    [
        (deeds.leave, 3, "SystemExit: 3"),
        (deeds.raise_a_lone_surrogate, None, r"LookupError: \?"),
        (deeds.raise_an_error_that_cannot_be_shown, None, "Unspeakable"),
    ],
)
async def test_whatever_a_task_raises_its_process_goes_on(deed, payload, said):
    async with Executors(processes=1) as executors:
        pid = await executors.run(PROCESS, deeds.process_id, None, timeout=60)
        with pytest.raises(RemoteFailure, match=said):
            await executors.run(PROCESS, deed, payload, timeout=60)
        assert await executors.run(PROCESS, deeds.process_id, None, timeout=60) == pid


async def test_arrays_and_bytes_travel_beside_the_json_and_back():
    payload = {
        "speech": np.arange(-5, 5, dtype=np.int16),
        "image": np.random.default_rng(1).random((3, 4, 2)),
        "flags": np.array([True, False]),
        "nothing": np.zeros((0, 3), np.float32),
        "scalar": np.array(2.5),
        "header": b"RIFF\x00",
        "number": np.float32(0.5),
        "words": ["a", {"b": None}],
    }
    async with Executors(processes=1) as executors:
        back = await executors.run(PROCESS, deeds.echo, payload, timeout=60)
    for name, value in payload.items():
        if isinstance(value, np.ndarray):
            assert back[name].dtype == value.dtype
            np.testing.assert_array_equal(back[name], value)
        else:
            assert back[name] == value


async def test_a_large_array_is_the_tasks_own_and_leaves_the_callers_untouched():
    array = np.arange(3_000_000, dtype=np.float64)
    async with Executors(processes=1) as executors:
        back = await executors.run(PROCESS, deeds.negate_in_place, array, timeout=60)
        again = await executors.run(PROCESS, deeds.negate_in_place, array[:10], timeout=60)
    np.testing.assert_array_equal(back, -np.arange(3_000_000))
    np.testing.assert_array_equal(again, -np.arange(10))
    assert array[1] == 1.0


@pytest.mark.req("PERF-01")
@pytest.mark.parametrize("thing", [np.ones(4 * 2**20), bytes(32 * 2**20)], ids=["array", "bytes"])
async def test_the_event_loop_stays_awake_while_large_things_travel(thing):
    turns = []
    """The processor time at each turn of the loop: what other programs do to the machine does not count."""

    async def take_turns():
        while True:
            turns.append(time.thread_time())
            await asyncio.sleep(0)

    async with Executors(processes=1) as executors:
        await executors.run(PROCESS, deeds.process_id, None, timeout=60)
        taking = asyncio.create_task(take_turns())
        await asyncio.sleep(0)
        await executors.run(PROCESS, deeds.echo, thing, timeout=60)
        taking.cancel()
    assert max(after - before for before, after in pairwise(turns)) < 0.050


async def test_a_strided_array_arrives_as_it_looks():
    grid = np.arange(24).reshape(4, 6)
    async with Executors(processes=1) as executors:
        assert await executors.run(PROCESS, deeds.describe, grid[::2, 1::2].T, timeout=60) == [
            "int64",
            [3, 2],
            float(grid[::2, 1::2].sum()),
        ]


@pytest.mark.parametrize(
    "payload",
    [object(), {"task": {1, 2}}, np.array([object()]), [2**80], {"mark": np.array(["text"])}, "\ud800"],
    ids=["object", "set", "object array", "huge integer", "text array", "lone surrogate"],
)
async def test_what_cannot_travel_is_refused_by_name_and_costs_no_process(payload):
    async with Executors(processes=1) as executors:
        with pytest.raises(NotPortable):
            await executors.run(PROCESS, deeds.echo, payload, timeout=60)
        assert executors.load().processes_replaced == 0


@pytest.mark.parametrize("fn", [lambda _: 1, Path("x").joinpath, np.random.default_rng(1).random])
async def test_a_function_without_an_import_name_is_refused(fn):
    async with Executors(processes=1) as executors:
        with pytest.raises(NotPortable, match="import name"):
            await executors.run(PROCESS, fn, None, timeout=60)


async def test_a_result_that_cannot_travel_fails_its_task_only():
    async with Executors(processes=1) as executors:
        with pytest.raises(RemoteFailure, match="cannot travel"):
            await executors.run(PROCESS, deeds.make_a_lock, None, timeout=60)
        assert await executors.run(PROCESS, deeds.echo, 1, timeout=60) == 1


async def test_more_tasks_than_processes_wait_for_their_turn():
    async with Executors(processes=2) as executors:
        results = await asyncio.gather(*(executors.run(PROCESS, deeds.echo, n, timeout=60) for n in range(50)))
    assert results == list(range(50))


async def test_waiting_for_a_process_does_not_count_towards_the_deadline(fifo):
    async with Executors(processes=1) as executors:
        first = asyncio.create_task(executors.run(PROCESS, deeds.read_from, str(fifo), timeout=None))
        second = asyncio.create_task(executors.run(PROCESS, deeds.echo, "second", timeout=1.0))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await asyncio.shield(second)
        await asyncio.to_thread(fifo.write_text, "first")
        assert (await first, await second) == ("first", "second")


async def test_closing_ends_a_hung_task_at_once(fifo):
    async with Executors(processes=1) as executors:
        task = asyncio.create_task(executors.run(PROCESS, deeds.say_and_hang_with_gil, str(fifo), timeout=None))
        await read(fifo)
    with pytest.raises(ExecutorsClosed):
        await task


SCRIPT = """
import asyncio, sys
from mynah_tasks.executors import Executors, ExecutorKind
from mynah_tasks.tests import deeds

async def main():
    async with Executors() as executors:
        await executors.run(ExecutorKind.PROCESS, getattr(deeds, sys.argv[1]), sys.argv[2], timeout=None)

asyncio.run(main())
"""


@pytest.mark.parametrize("deed", ["say_and_hang_without_gil", "say_and_hang_with_gil"])
def test_no_process_outlives_a_parent_that_was_killed(deed, fifo):
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, deed, fifo], env={"PYTHONPATH": ":".join(sys.path)})
    child = int(fifo.read_text())
    parent.kill()
    parent.wait()
    wait_until_gone(child)


def test_everything_works_on_uvloop_too():
    async def main():
        async with Executors(processes=1) as executors:
            with pytest.raises(DeadlineExceeded):
                await executors.run(PROCESS, deeds.hang_with_gil, None, timeout=0.1)
            return await executors.run(PROCESS, deeds.echo, np.arange(3), timeout=60)

    assert uvloop.run(main()).tolist() == [0, 1, 2]
