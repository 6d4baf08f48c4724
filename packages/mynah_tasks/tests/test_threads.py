import asyncio
import contextvars
import logging
import subprocess
import sys
import threading

import pytest

from mynah_resilience import WrongThread
from mynah_tasks.executors import AllThreadsHung, DeadlineExceeded, ExecutorKind, Executors, ExecutorsClosed
from mynah_tasks.tests import deeds

INLINE, THREAD, MODEL = ExecutorKind.INLINE, ExecutorKind.THREAD, ExecutorKind.MODEL_THREAD

site = contextvars.ContextVar("site", default="nowhere")


class Gate:
    """Work that stays in its thread until it is opened."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self._open = threading.Event()

    def work(self, payload):
        self.entered.release()
        self._open.wait()
        return payload

    async def wait_until_entered(self):
        await asyncio.to_thread(self.entered.acquire)

    def open(self):
        self._open.set()


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.open()


@pytest.mark.req("ENG-09")
@pytest.mark.parametrize(
    ("kind", "name"), [(INLINE, "MainThread"), (THREAD, "mynah-thread-1"), (MODEL, "mynah-model-function-1")]
)
async def test_the_kind_says_which_thread_runs_the_task(kind, name):
    async with Executors() as executors:
        assert await executors.run(kind, deeds.thread_name, None, timeout=60) == name


@pytest.mark.parametrize("kind", [INLINE, THREAD, MODEL])
async def test_a_coroutine_runs_on_the_loop_even_where_a_thread_was_asked_for(kind):
    async with Executors() as executors:
        assert await executors.run(kind, deeds.thread_name_of_a_coroutine, None, timeout=60) == "MainThread"
        assert executors.load().threads_busy == 0


async def test_a_coroutine_that_was_made_in_a_thread_is_awaited_on_the_loop():
    async with Executors() as executors:
        made = executors.run(THREAD, lambda _: deeds.thread_name_of_a_coroutine(None), None, timeout=60)
        assert await made == "MainThread"


async def test_a_coroutine_that_was_made_in_a_thread_has_the_deadline_of_the_call_and_keeps_no_thread():
    async def wait_for_ever():
        await asyncio.get_running_loop().create_future()

    async with Executors() as executors:
        with pytest.raises(DeadlineExceeded):
            await executors.run(THREAD, lambda _: wait_for_ever(), None, timeout=0.01)
        assert (executors.load().threads_busy, executors.load().threads_hung) == (0, ())


async def test_a_coroutine_in_a_process_has_a_loop_of_its_own():
    async with Executors(processes=1) as executors:
        name = await executors.run(ExecutorKind.PROCESS, deeds.thread_name_of_a_coroutine, None, timeout=60)
    assert name == "MainThread"


async def test_a_thread_sees_the_context_of_its_caller():
    site.set("kitchen")
    async with Executors() as executors:
        assert await executors.run(THREAD, lambda _: site.get(), None, timeout=60) == "kitchen"


async def test_what_a_task_raises_in_a_thread_reaches_its_caller():
    async with Executors(threads=1) as executors:
        with pytest.raises(LookupError, match="no such voice"):
            await executors.run(THREAD, deeds.raise_error, "no such voice", timeout=60)
        assert await executors.run(THREAD, deeds.echo, "again", timeout=60) == "again"


@pytest.mark.parametrize("kind", [INLINE, THREAD])
async def test_a_task_that_exits_ends_itself_and_not_the_program(kind):
    async with Executors(threads=1) as executors:
        with pytest.raises(RuntimeError, match=r"raised SystemExit\(3\)"):
            await executors.run(kind, deeds.leave, 3, timeout=60)
        assert await executors.run(kind, deeds.echo, "again", timeout=60) == "again"


async def test_an_iterator_that_is_exhausted_in_a_thread_is_an_ordinary_failure():
    async with Executors(threads=1) as executors:
        with pytest.raises(RuntimeError, match="StopIteration"):
            await executors.run(THREAD, next, iter(()), timeout=60)


@pytest.mark.req("ENG-13", "FLAW-A5")
@pytest.mark.parametrize("kind", [THREAD, MODEL])
async def test_a_hung_thread_is_reported_at_its_deadline_and_counted_busy(kind, gate):
    async with Executors(threads=2, grace=0) as executors:
        with pytest.raises(DeadlineExceeded, match=r"no answer after 0\.05 s"):
            await executors.run(kind, gate.work, None, timeout=0.05)
        load = executors.load()
        assert (load.threads_busy, load.threads_hung) == (1, ("Gate.work",))


async def test_a_cancelled_task_leaves_its_thread_busy_until_it_returns(gate):
    async with Executors(threads=1, grace=0) as executors:
        task = asyncio.create_task(executors.run(THREAD, gate.work, None, timeout=None))
        await gate.wait_until_entered()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert executors.load().threads_hung == ("Gate.work",)


async def test_a_thread_that_comes_back_works_again(gate):
    other = Gate()
    async with Executors(threads=2) as executors:
        with pytest.raises(DeadlineExceeded):
            await executors.run(THREAD, gate.work, None, timeout=0.01)
        busy = asyncio.create_task(executors.run(THREAD, other.work, "second", timeout=None))
        await other.wait_until_entered()
        waiting = asyncio.create_task(executors.run(THREAD, deeds.echo, "third", timeout=60))
        gate.open()
        assert await waiting == "third"
        assert executors.load().threads_hung == ()
        other.open()
        assert await busy == "second"
        assert executors.load().threads_busy == 0


async def test_work_is_refused_when_every_thread_hangs(gate):
    async with Executors(threads=1) as executors:
        first = asyncio.create_task(executors.run(THREAD, gate.work, None, timeout=0.05))
        waiting = asyncio.create_task(executors.run(THREAD, deeds.echo, None, timeout=60))
        with pytest.raises(DeadlineExceeded):
            await first
        with pytest.raises(AllThreadsHung, match=r"all 1 threads of mynah-thread hang in Gate\.work"):
            await waiting
        with pytest.raises(AllThreadsHung):
            await executors.run(THREAD, deeds.echo, None, timeout=60)
        gate.open()


async def test_a_task_cancelled_while_it_waits_takes_no_thread(gate):
    async with Executors(threads=1) as executors:
        first = asyncio.create_task(executors.run(THREAD, gate.work, "first", timeout=None))
        await gate.wait_until_entered()
        waiting = asyncio.create_task(executors.run(THREAD, deeds.echo, None, timeout=None))
        await asyncio.sleep(0)
        waiting.cancel()
        gate.open()
        assert await first == "first"
        assert await executors.run(THREAD, deeds.echo, "next", timeout=60) == "next"


async def test_a_task_cancelled_in_the_moment_of_its_turn_gives_its_thread_back(gate):
    async with Executors(threads=1) as executors:

        async def work_then_cancel():
            await executors.run(THREAD, gate.work, "first", timeout=None)
            waiting.cancel()

        first = asyncio.create_task(work_then_cancel())
        await gate.wait_until_entered()
        waiting = asyncio.create_task(executors.run(THREAD, deeds.echo, None, timeout=None))
        await asyncio.sleep(0)
        gate.open()
        await asyncio.wait([first, waiting])
        assert waiting.cancelled()
        assert await executors.run(THREAD, deeds.echo, "next", timeout=60) == "next"


async def test_the_methods_of_one_model_share_one_thread_and_two_models_do_not():
    class Model:
        def encode(self, _):
            return threading.get_ident()

        def decode(self, _):
            return threading.get_ident()

    first, second = Model(), Model()
    async with Executors() as executors:
        idents = [
            await executors.run(MODEL, method, None, timeout=60)
            for method in (first.encode, first.decode, first.encode, second.encode)
        ]
    assert idents[0] == idents[1] == idents[2] != idents[3]


@pytest.mark.req("ENG-13")
async def test_a_coroutine_past_its_deadline_is_cancelled():
    cancelled = asyncio.Event()

    async def forever(_):
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cancelled.set()

    async with Executors() as executors:
        with pytest.raises(DeadlineExceeded):
            await executors.run(INLINE, forever, None, timeout=0.01)
    assert cancelled.is_set()


@pytest.mark.parametrize("kind", [INLINE, THREAD])
async def test_a_timeout_of_the_task_itself_is_not_taken_for_its_deadline(kind):
    def impatient(_):
        raise TimeoutError("the remote service was slow")

    async with Executors() as executors:
        with pytest.raises(TimeoutError, match="the remote service was slow") as caught:
            await executors.run(kind, impatient, None, timeout=60)
    assert not isinstance(caught.value, DeadlineExceeded)


async def test_closing_leaves_a_hung_thread_behind_and_says_so(gate, caplog):
    async with Executors(threads=1, grace=0.01) as executors:
        with pytest.raises(DeadlineExceeded):
            await executors.run(THREAD, gate.work, None, timeout=0.01)
    assert "mynah-thread leaves 1 threads behind, hung in Gate.work" in caplog.text


async def test_closing_waits_for_a_thread_that_comes_back_within_the_grace(gate, caplog):
    before = set(threading.enumerate())  # other tests leave hung threads behind, as they must
    async with Executors(threads=1, grace=60) as executors:
        with pytest.raises(DeadlineExceeded):
            await executors.run(THREAD, gate.work, None, timeout=0.01)
        asyncio.get_running_loop().call_soon(gate.open)
    assert not [record for record in caplog.records if "leaves" in record.message]
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("mynah-thread"):
            await asyncio.to_thread(thread.join)


async def test_closed_executors_refuse_work():
    executors = Executors()
    with pytest.raises(ExecutorsClosed):
        await executors.run(INLINE, deeds.echo, None, timeout=60)
    async with executors:
        pass
    with pytest.raises(ExecutorsClosed):
        await executors.run(INLINE, deeds.echo, None, timeout=60)


async def test_whoever_waits_for_a_thread_hears_that_the_executors_close(gate):
    async with Executors(threads=1, grace=0) as executors:
        busy = asyncio.create_task(executors.run(THREAD, gate.work, None, timeout=None))
        await gate.wait_until_entered()
        waiting = asyncio.create_task(executors.run(THREAD, deeds.echo, None, timeout=None))
        await asyncio.sleep(0)
    with pytest.raises(ExecutorsClosed):
        await waiting
    busy.cancel()


@pytest.mark.req("CON-06")
async def test_executors_belong_to_the_thread_that_opened_them():
    async with Executors() as executors:
        work = executors.run(INLINE, deeds.echo, None, timeout=60)
        with pytest.raises(WrongThread, match="the executors belongs to 'MainThread'"):
            await asyncio.to_thread(asyncio.run, work)


async def test_closed_executors_can_be_opened_again():
    executors = Executors(threads=1, processes=1)
    for _ in range(2):
        async with executors:
            for kind in (THREAD, MODEL, ExecutorKind.PROCESS):
                assert await executors.run(kind, deeds.echo, "hello", timeout=60) == "hello"


@pytest.mark.parametrize("settings", [{"threads": 0}, {"processes": 0}])
def test_executors_without_a_place_to_run_are_refused(settings):
    with pytest.raises(ValueError, match="at least one"):
        Executors(**settings)


SCRIPT = """
import asyncio
from mynah_tasks.executors import DeadlineExceeded, Executors, ExecutorKind
from mynah_tasks.tests import deeds

async def main():
    async with Executors(grace=0.1) as executors:
        try:
            await executors.run(ExecutorKind.THREAD, deeds.hang_without_gil, None, timeout=0.1)
        except DeadlineExceeded as error:
            print(error)

asyncio.run(main())
"""


def test_a_program_with_a_thread_in_a_hung_c_call_still_ends():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "no answer after 0.1 s\n"


async def test_a_thread_that_outlives_its_loop_ends_quietly(caplog):
    caplog.set_level(logging.DEBUG)
    before = set(threading.enumerate())
    gate = Gate()

    async def leave_one_behind():
        async with Executors(threads=1, grace=0.01) as executors:
            with pytest.raises(DeadlineExceeded):
                await executors.run(THREAD, gate.work, None, timeout=0.01)

    await asyncio.to_thread(asyncio.run, leave_one_behind())
    (thread,) = [thread for thread in set(threading.enumerate()) - before if thread.name == "mynah-thread-1"]
    gate.open()
    await asyncio.to_thread(thread.join)
    assert "a thread of mynah-thread outlived its event loop" in caplog.text
