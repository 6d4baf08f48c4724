"""Calls that may block, and what becomes of them when nobody waits for them any more."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from functools import partial

import pytest

from mynah_resilience import CircuitBreaker, NoThread
from mynah_resilience.calls import invoke
from mynah_resilience.threads import DaemonThreads

HANGING_HANDLER = """
    async with EventBus(patience=0, grace=0) as events:
        events.subscribe("x", hang)
        await events.publish("x")
        await asyncio.to_thread(is_hanging.wait)
"""
HANGING_CALL = """
    calling = asyncio.create_task(CircuitBreaker("x").call(partial(hang, None)))
    await asyncio.to_thread(is_hanging.wait)
    calling.cancel()
"""
PROGRAM = """
import asyncio, threading
from functools import partial
from mynah_resilience import CircuitBreaker, EventBus

is_hanging = threading.Event()

def hang(_):
    is_hanging.set()
    threading.Event().wait()

async def main():
    {}
    print("done")

asyncio.run(main())
"""


@pytest.mark.req("FLAW-W20", "R8")
@pytest.mark.parametrize("what", [HANGING_HANDLER, HANGING_CALL])
def test_what_hangs_does_not_hold_up_the_end_of_the_process(what: str) -> None:
    command = [sys.executable, "-c", PROGRAM.format(what.strip())]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "done\n"


def leave() -> None:
    sys.exit(3)


def stop() -> None:
    raise StopIteration


@pytest.mark.parametrize("end", [leave, stop])
async def test_a_call_that_would_end_its_thread_or_the_process_only_fails(end: Callable[[], None]) -> None:
    with pytest.raises(RuntimeError, match="raised"):
        await invoke(end)


def test_calls_beyond_the_threads_wait_in_order() -> None:
    threads = DaemonThreads(1, "test")
    has_begun, may_end, made = threading.Event(), threading.Event(), []
    calls = [threads.submit(lambda: has_begun.set() or may_end.wait())]
    has_begun.wait()
    calls += [threads.submit(made.append, number) for number in range(6)]
    assert made == []
    may_end.set()
    for call in calls:
        call.result()
    assert made == list(range(6))


def test_as_many_calls_as_there_are_threads_are_made_at_a_time() -> None:
    threads, together = DaemonThreads(3, "test"), threading.Barrier(3)
    assert sorted(call.result() for call in [threads.submit(together.wait) for _ in range(3)]) == [0, 1, 2]


def test_a_thread_is_used_again() -> None:
    threads = DaemonThreads(4, "test")
    first = threads.submit(threading.get_ident).result()
    assert {threads.submit(threading.get_ident).result() for _ in range(20)} == {first}


def test_what_has_not_begun_is_cancelled_at_the_end_and_nothing_more_is_taken() -> None:
    threads = DaemonThreads(1, "test")
    has_begun, may_end = threading.Event(), threading.Event()
    running = threads.submit(lambda: has_begun.set() or may_end.wait())
    has_begun.wait()
    waiting: Future[None] = threads.submit(print)
    threads.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(CancelledError):
        waiting.result()
    with pytest.raises(RuntimeError, match="closed"):
        threads.submit(print)
    may_end.set()
    assert running.result() is True


def test_threads_that_were_closed_can_be_opened_again() -> None:
    threads = DaemonThreads(1, "test")
    threads.shutdown()
    threads.reopen()
    assert threads.submit(lambda: "again").result() == "again"


def test_without_a_single_thread_there_are_no_threads() -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        DaemonThreads(0, "test")


class Device:
    """Something that does not answer until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self._answer = threading.Event()

    def ask(self, secret: str = "") -> str:
        self.asked.release()
        self._answer.wait()
        return secret

    def let_go(self) -> None:
        self._answer.set()


@pytest.fixture
def device() -> Iterator[Device]:
    device = Device()
    yield device
    device.let_go()


async def hang_in(device: Device, threads: DaemonThreads) -> None:
    """Have a call of the device begun whose caller goes away."""
    caller = asyncio.create_task(invoke(partial(device.ask, "secret"), executor=threads))
    await asyncio.to_thread(device.asked.acquire)
    caller.cancel()
    await asyncio.wait([caller])


async def test_a_call_whose_caller_has_gone_is_counted_and_told_once_without_its_data(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    threads = DaemonThreads(2, "secretive")
    await hang_in(device, threads)
    assert threads.hung == ("Device.ask",)
    assert [text for text in caplog.messages if "secret" in text] == [
        "a thread of secretive is left alone with Device.ask (1 of 2 hung)"
    ]
    assert await invoke(lambda: "answer", executor=threads) == "answer"


def test_a_thread_whose_call_returns_after_all_makes_calls_again(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    threads = DaemonThreads(1, "tireless")
    call = threads.submit(device.ask, "late")
    device.asked.acquire()
    assert not call.cancel()
    assert not call.cancel()
    assert threads.hung == ("Device.ask",)
    device.let_go()
    assert call.result() == "late"
    assert threads.hung == ()
    assert [text for text in caplog.messages if "tireless" in text] == [
        "a thread of tireless is left alone with Device.ask (1 of 1 hung)",
        "a thread of tireless came back from Device.ask",
    ]
    assert threads.submit(lambda: "answer").result() == "answer"


@pytest.mark.req("FLAW-W20", "R8")
async def test_when_every_thread_hangs_calls_fail_at_once_and_so_do_those_that_wait(device: Device) -> None:
    threads = DaemonThreads(2, "test")
    await hang_in(device, threads)
    second = asyncio.create_task(invoke(device.ask, executor=threads))
    await asyncio.to_thread(device.asked.acquire)
    waiting = threads.submit(print)
    given_up = threads.submit(print)
    given_up.cancel()
    second.cancel()
    await asyncio.wait([second])
    with pytest.raises(NoThread, match=r"all 2 threads of test hang in Device\.ask$"):
        waiting.result()
    with pytest.raises(NoThread):
        await invoke(lambda: "answer", executor=threads)
    assert given_up.cancelled()


async def test_a_call_that_is_cancelled_before_it_begins_hangs_nowhere(device: Device) -> None:
    threads = DaemonThreads(1, "test")
    begun = threads.submit(device.ask, "answer")
    waiting = threads.submit(print)
    assert waiting.cancel()
    device.let_go()
    assert begun.result() == "answer"
    assert not begun.cancel()
    assert threads.hung == ()


@pytest.mark.req("CB-06")
async def test_that_no_thread_is_left_counts_as_a_failure() -> None:
    breaker = CircuitBreaker("x")

    def refuse() -> None:
        raise NoThread("test", ["Device.ask"])

    with pytest.raises(NoThread):
        await breaker.call(refuse)
    assert breaker.status().failures == 1
