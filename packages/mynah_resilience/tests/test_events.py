import asyncio
import contextlib
import contextvars
import functools
import logging
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from mynah_resilience import Event, EventBus, StallProbe, WrongThread


@pytest.mark.req("EVB-01")
async def test_who_subscribed_hears_what_is_published_until_unsubscribing() -> None:
    async with EventBus() as events:
        heard: list[str] = []
        events.subscribe("voice_recognized", heard.append)

        await events.publish("voice_recognized", "one")
        await events.publish("voice_failed", "not for us")
        assert events.unsubscribe("voice_recognized", heard.append)
        assert not events.unsubscribe("voice_recognized", heard.append)
        await events.publish("voice_recognized", "two")

        assert heard == ["one"]


@pytest.mark.req("EVB-02", "FLAW-J4")
async def test_plain_and_async_handlers_run_at_the_same_time_and_one_failure_touches_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Each handler waits for all others: run one after the other, none would get past.
    together = threading.Barrier(3)
    heard: list[str] = []

    def plain(data: str) -> None:
        together.wait()
        heard.append(f"plain {data}")

    async def asynchronous(data: str) -> None:
        await asyncio.to_thread(together.wait)
        heard.append(f"async {data}")

    def raising(data: str) -> None:
        together.wait()
        raise LookupError(data)

    async with EventBus(patience=5) as events:
        for handler in (raising, plain, asynchronous):
            events.subscribe("voice_recognized", handler)
        await events.publish("voice_recognized", "hello")

    assert sorted(heard) == ["async hello", "plain hello"]
    assert [(r.levelname, r.exc_info is not None) for r in caplog.records] == [("ERROR", True)]
    assert "raising" in caplog.records[0].message
    assert "voice_recognized" in caplog.records[0].message


class Counter:
    """A handler without a __name__."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, data: object) -> None:
        self.count += 1
        raise ValueError(data)


@pytest.mark.req("EVB-02", "FLAW-J4")
@pytest.mark.req("EVB-02")
async def test_a_handler_that_would_end_the_process_only_fails(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[str] = []

    def leave(data: str) -> None:
        sys.exit(data)

    async def leave_at_once(data: str) -> None:
        sys.exit(data)

    async with EventBus(patience=5) as events:
        for handler in (leave, leave_at_once, heard.append):
            events.subscribe("x", handler)
        await events.publish("x", "one")
        await events.publish("x", "two")

    assert heard == ["one", "two"]
    assert [r.exc_info[0] for r in caplog.records if r.exc_info] == [RuntimeError] * 4
    assert "raised SystemExit('two')" in caplog.text


async def test_a_handler_needs_no_name_even_when_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    counter = Counter()
    partial = functools.partial(int, base=10)
    async with EventBus() as events:
        events.subscribe("queue_full", counter)
        events.subscribe("queue_full", partial)
        await events.publish("queue_full", "no number")
    assert counter.count == 1
    assert len(caplog.records) == 2


@pytest.mark.req("EVB-02")
async def test_a_handler_whose_own_work_was_cancelled_hears_the_next_event() -> None:
    heard = []

    async def handler(data: str) -> None:
        heard.append(data)
        raise asyncio.CancelledError

    async with EventBus() as events:
        events.subscribe("voice_failed", handler)
        await events.publish("voice_failed", "one")
        await events.publish("voice_failed", "two")
    assert heard == ["one", "two"]


@pytest.mark.req("EVB-02")
async def test_a_blocking_handler_does_not_block_the_loop() -> None:
    async with StallProbe() as probe, EventBus() as events:
        events.subscribe("voice_failed", lambda _: time.sleep(0.15))
        await events.publish("voice_failed")
    assert probe.maximum_ms < 50


async def test_handlers_that_hang_leave_the_loop_its_threads() -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    released = threading.Event()
    async with EventBus(patience=0) as events:
        events.subscribe("voice_failed", lambda _: released.wait())
        await events.publish("voice_failed")
        await asyncio.to_thread(released.set)


@pytest.mark.req("EVB-01", "EVB-02")
async def test_a_bus_that_is_entered_again_tells_plain_handlers_too() -> None:
    events, heard = EventBus(patience=5), []
    events.subscribe("voice_failed", heard.append)
    for number in range(2):
        async with events:
            await events.publish("voice_failed", number)
    assert heard == [0, 1]


@pytest.mark.req("EVB-03")
async def test_the_last_hundred_events_are_kept() -> None:
    clock = iter(range(1000))
    events = EventBus(clock=lambda: float(next(clock)))
    for number in range(150):
        await events.publish("voice_recognized", number)
    assert len(events.history) == 100
    assert (events.history[0], events.history[-1]) == (
        Event("voice_recognized", 50, 50.0),
        Event("voice_recognized", 149, 149.0),
    )


@pytest.mark.req("FLAW-J4")
async def test_a_slow_handler_holds_neither_the_publisher_nor_the_others() -> None:
    gate, heard = asyncio.Event(), []

    async def slow(data: int) -> None:
        await gate.wait()
        heard.append(("slow", data))

    async def quick(data: int) -> None:
        heard.append(("quick", data))

    async with EventBus(patience=0.001) as events:
        events.subscribe("queue_full", slow)
        events.subscribe("queue_full", quick)
        await events.publish("queue_full", 1)
        await events.publish("queue_full", 2)
        assert heard == [("quick", 1), ("quick", 2)]
        gate.set()
    # Leaving waited for what was left to do, in order.
    assert heard[2:] == [("slow", 1), ("slow", 2)]


async def test_a_handler_hears_its_events_one_after_the_other_and_in_order() -> None:
    running = 0
    heard = []

    async def handler(data: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        heard.append(data)
        running -= 1

    async with EventBus() as events:
        events.subscribe("queue_full", handler)
        await asyncio.gather(*(events.publish("queue_full", number) for number in range(50)))
    assert heard == list(range(50))


async def test_a_handler_that_lags_a_hundred_events_behind_misses_the_oldest(caplog: pytest.LogCaptureFixture) -> None:
    gate, heard = asyncio.Event(), []

    async def slow(data: int) -> None:
        await gate.wait()
        heard.append(data)

    async with EventBus(patience=0) as events:
        events.subscribe("queue_full", slow)
        for number in range(103):
            await events.publish("queue_full", number)
        gate.set()
    assert heard == [0, *range(3, 103)]
    assert caplog.text.count("is 100 events behind and misses one queue_full") == 2


async def test_unsubscribing_also_drops_what_was_not_heard_yet() -> None:
    gate, heard = asyncio.Event(), []

    async def slow(data: int) -> None:
        heard.append(data)
        await gate.wait()

    async with EventBus(patience=0.001) as events:
        events.subscribe("queue_full", slow)
        await events.publish("queue_full", 1)
        await events.publish("queue_full", 2)
        events.unsubscribe("queue_full", slow)
        gate.set()
    assert heard == [1]


async def test_leaving_cancels_a_handler_that_never_ends() -> None:
    cancelled = []

    async def endless(data: object) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(data)
            raise

    async with EventBus(patience=0, grace=0.001) as events:
        events.subscribe("queue_full", endless)
        await events.publish("queue_full", "data")
        await asyncio.sleep(0)
    assert cancelled == ["data"]


async def test_leaving_does_not_wait_for_a_handler_that_refuses_to_be_cancelled() -> None:
    gate = asyncio.Event()

    async def stubborn(data: object) -> None:
        while not gate.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gate.wait()

    async with EventBus(patience=0, grace=0.001) as events:
        events.subscribe("queue_full", stubborn)
        await events.publish("queue_full")
        await asyncio.sleep(0)
    gate.set()
    await asyncio.sleep(0)


async def test_each_handler_runs_in_the_context_of_the_publisher() -> None:
    turn = contextvars.ContextVar("turn", default="none")
    heard = []

    async def asynchronous(data: object) -> None:
        heard.append(turn.get())

    async with EventBus(patience=0) as events:
        events.subscribe("voice_recognized", asynchronous)
        events.subscribe("voice_recognized", lambda _: heard.append(turn.get()))
        for name in ("first", "second"):
            turn.set(name)
            await events.publish("voice_recognized")
        turn.set("third")
    assert sorted(heard) == ["first", "first", "second", "second"]


@pytest.mark.req("CON-07")
async def test_any_thread_may_publish_through_the_thread_safe_entrance() -> None:
    heard: list[int] = []

    async def handler(data: int) -> None:
        heard.append(data)

    async with EventBus() as events:
        events.subscribe("voice_recognized", handler)

        def publish(number: int) -> None:
            for _ in range(20):
                events.publish_threadsafe("voice_recognized", number).result()

        await asyncio.gather(*(asyncio.to_thread(publish, number) for number in range(4)))
    assert sorted(heard) == sorted([0, 1, 2, 3] * 20)


def test_the_thread_safe_entrance_is_open_only_while_the_bus_is_entered() -> None:
    with pytest.raises(RuntimeError, match="was not entered"):
        EventBus().publish_threadsafe("voice_recognized")


@pytest.mark.req("CON-06")
async def test_publishing_from_another_thread_fails_loudly() -> None:
    async with EventBus() as events:
        with pytest.raises(WrongThread, match="event bus belongs to 'MainThread'"):
            await asyncio.to_thread(asyncio.run, events.publish("voice_recognized"))


@pytest.mark.req("EVB-06")
async def test_an_operator_can_grep_the_log_by_component() -> None:
    async with EventBus() as events:
        events.subscribe("voice_failed", lambda _: 1 / 0)
        lines = []
        handler = logging.Handler()
        handler.setFormatter(logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s"))
        handler.emit = lambda record: lines.append(handler.format(record))
        logger = logging.getLogger("mynah_resilience")
        logger.addHandler(handler)
        await events.publish("voice_failed")
        logger.removeHandler(handler)
    assert " - mynah_resilience.events - ERROR - " in lines[0]
