import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mynah_tasks.executors import ExecutorKind, Executors, MemoryGate, NotEnoughMemory, free_memory
from mynah_tasks.tests import deeds

MIB = 2**20


def machine(root, *, available_mib, groups=""):
    write(root, "proc/meminfo", f"MemTotal: 99999999 kB\nMemAvailable:   {available_mib * 1024} kB\n")
    write(root, "proc/self/cgroup", groups)


def group_v2(root, name, *, limit, used_mib, inactive_mib=0):
    write(root, f"sys/fs/cgroup/{name}/memory.max", f"{limit}\n")
    write(root, f"sys/fs/cgroup/{name}/memory.current", f"{used_mib * MIB}\n")
    write(root, f"sys/fs/cgroup/{name}/memory.stat", f"anon 1\ninactive_file {inactive_mib * MIB}\n")


def group_v1(root, name, *, limit, used_mib, inactive_mib=0):
    write(root, f"sys/fs/cgroup/memory/{name}/memory.limit_in_bytes", f"{limit}\n")
    write(root, f"sys/fs/cgroup/memory/{name}/memory.usage_in_bytes", f"{used_mib * MIB}\n")
    write(root, f"sys/fs/cgroup/memory/{name}/memory.stat", f"cache 1\ntotal_inactive_file {inactive_mib * MIB}\n")


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.req("ENG-17")
class TestFreeMemory:
    def test_a_machine_without_limits_gives_what_it_has(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="0::/\n")
        assert free_memory(tmp_path) == 4000 * MIB

    def test_a_group_of_version_2_leaves_its_limit_without_what_is_in_use(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="0::/system/mynah\n")
        group_v2(tmp_path, "system/mynah", limit=1000 * MIB, used_mib=700)
        assert free_memory(tmp_path) == 300 * MIB

    def test_file_pages_that_the_kernel_can_drop_count_as_free(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="0::/mynah\n")
        group_v2(tmp_path, "mynah", limit=1000 * MIB, used_mib=700, inactive_mib=150)
        assert free_memory(tmp_path) == 450 * MIB

    def test_the_tightest_group_around_counts(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="0::/system/mynah\n")
        group_v2(tmp_path, "system/mynah", limit="max", used_mib=100)
        group_v2(tmp_path, "system", limit=500 * MIB, used_mib=400)
        assert free_memory(tmp_path) == 100 * MIB

    def test_a_container_that_sees_its_own_group_as_the_root_finds_it(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="4:memory:/docker/0a1b2c\n")
        group_v1(tmp_path, ".", limit=256 * MIB, used_mib=56)
        assert free_memory(tmp_path) == 200 * MIB

    def test_a_group_of_version_1_beside_an_empty_version_2(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="9:name=systemd:/\n5:cpu,memory:/mynah\n0::/\n")
        group_v1(tmp_path, "mynah", limit=512 * MIB, used_mib=500, inactive_mib=20)
        assert free_memory(tmp_path) == 32 * MIB

    def test_a_group_over_its_limit_has_nothing_left(self, tmp_path):
        machine(tmp_path, available_mib=4000, groups="0::/mynah\n")
        group_v2(tmp_path, "mynah", limit=100 * MIB, used_mib=120)
        assert free_memory(tmp_path) == 0

    def test_where_nobody_says_what_is_free_it_is_what_there_is(self, tmp_path):
        assert free_memory(tmp_path) == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def test_this_machine_has_some(self):
        assert 0 < free_memory() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def small_group():
    """A real control group with a limit of 300 MiB."""
    path = Path(f"/sys/fs/cgroup/memory/mynah-test-{os.getpid()}")
    try:
        path.mkdir()
        (path / "memory.limit_in_bytes").write_text(str(300 * MIB))
    except OSError as error:
        pytest.skip(f"control groups of version 1 cannot be made here: {error}")
    yield path
    path.rmdir()


def run_inside(group, script):
    return subprocess.run(
        ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", sys.executable, "-c", script],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.req("ENG-17")
def test_a_real_control_group_is_believed(small_group):
    free = int(run_inside(small_group, "from mynah_tasks.executors import free_memory; print(free_memory())"))
    assert 100 * MIB < free <= 300 * MIB


CROWD = """
import asyncio, threading
from mynah_tasks.executors import ExecutorKind, Executors, MemoryGate

running, peak, lock = 0, 0, threading.Lock()

def work(_):
    global running, peak
    with lock:
        running += 1
        peak = max(peak, running)
    hold = bytearray(b"x") * (60 << 20)
    with lock:
        running -= 1

async def main():
    async with Executors(threads=8, memory=MemoryGate(need=80 << 20)) as executors:
        await asyncio.gather(
            *(executors.run(ExecutorKind.THREAD, work, None, timeout=60, memory_heavy=True) for _ in range(12))
        )
    print(peak)

asyncio.run(main())
"""


@pytest.mark.req("ENG-17")
def test_under_a_real_limit_no_more_heavy_tasks_run_than_fit(small_group):
    assert 1 <= int(run_inside(small_group, CROWD)) <= 3


GREEDY = """
import asyncio
from mynah_tasks.executors import ExecutorKind, Executors, ProcessDied
from mynah_tasks.tests import deeds

async def main():
    async with Executors(processes=2) as executors:
        try:
            await executors.run(ExecutorKind.PROCESS, deeds.allocate, 600 << 20, timeout=60)
        except ProcessDied as error:
            print(error)
        print(await executors.run(ExecutorKind.PROCESS, deeds.echo, "the engine lives", timeout=60))

asyncio.run(main())
"""


@pytest.mark.req("ENG-17")
def test_when_memory_runs_out_the_task_dies_and_the_engine_lives(small_group):
    assert run_inside(small_group, GREEDY).splitlines() == [
        "the worker process was killed by signal 9 (Killed), most likely for lack of memory",
        "the engine lives",
    ]


class Memory:
    """A machine whose free memory the test decides, and work that stays until it is let go."""

    def __init__(self, free_mib):
        self.free_mib = free_mib
        self.entered = []
        self.gate = MemoryGate(need=100 * MIB, free=lambda: self.free_mib * MIB)
        self._leave = {}

    def work(self, name):
        self._leave[name] = asyncio.Event()

        async def inside():
            async with self.gate.admit():
                self.entered.append(name)
                self.free_mib -= 100
                await self._leave[name].wait()
                self.free_mib += 100

        return asyncio.create_task(inside())

    def let_go(self, name):
        self._leave[name].set()


async def settle():
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.req("ENG-17")
async def test_heavy_tasks_enter_in_order_and_only_as_many_as_fit():
    memory = Memory(free_mib=250)
    tasks = [memory.work(name) for name in "abcd"]
    await settle()
    assert memory.entered == ["a", "b"]
    memory.let_go("a")
    await settle()
    assert memory.entered == ["a", "b", "c"]
    for name in "bcd":
        memory.let_go(name)
    await asyncio.gather(*tasks)
    assert memory.entered == ["a", "b", "c", "d"]
    assert memory.gate.running == 0


async def test_what_was_let_in_but_has_not_allocated_yet_counts():
    gate = MemoryGate(need=100 * MIB, free=lambda: 150 * MIB)
    async with gate.admit():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), gate.admit():
                pass
    async with gate.admit():
        assert gate.running == 1


async def test_memory_that_strangers_have_taken_is_not_free():
    memory = Memory(free_mib=350)
    first = memory.work("a")
    await settle()
    memory.free_mib = 50
    second = memory.work("b")
    await settle()
    assert memory.entered == ["a"]
    memory.let_go("a")
    await settle()
    assert memory.entered == ["a", "b"]
    memory.let_go("b")
    await asyncio.gather(first, second)


async def test_a_worker_process_is_the_first_to_go_when_the_machine_runs_out_of_memory():
    async with Executors(processes=1) as executors:
        score = await executors.run(ExecutorKind.PROCESS, deeds.read_from, "/proc/self/oom_score_adj", timeout=60)
    assert score == "1000\n"


async def test_a_heavy_task_that_would_not_fit_even_alone_is_refused():
    gate = MemoryGate(need=512 * MIB, free=lambda: 300 * MIB)
    with pytest.raises(NotEnoughMemory, match="300 MiB are free, a memory-heavy task needs 512"):
        async with gate.admit():
            pass
    assert gate.running == 0


async def test_a_heavy_task_cancelled_while_it_waits_leaves_no_trace():
    memory = Memory(free_mib=150)
    first, second, third = (memory.work(name) for name in "abc")
    await settle()
    second.cancel()
    memory.let_go("a")
    await settle()
    assert memory.entered == ["a", "c"]
    memory.let_go("c")
    await asyncio.gather(first, third)


async def test_the_executors_hold_the_memory_of_a_heavy_task_while_it_runs():
    gate = MemoryGate(need=100 * MIB, free=lambda: 150 * MIB)
    async with Executors(memory=gate) as executors:

        async def look(_):
            return executors.load().memory_heavy

        assert await executors.run(ExecutorKind.INLINE, look, None, timeout=60, memory_heavy=True) == 1
        assert await executors.run(ExecutorKind.INLINE, look, None, timeout=60) == 0
    assert deeds.echo(gate.running) == 0
