"""Calls that may block, and what becomes of them when nobody waits for them any more."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future

import pytest

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
