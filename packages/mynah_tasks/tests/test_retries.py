"""Attempts that fail or take too long, and what comes after them."""

import asyncio
from random import Random

import pytest

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.context import current_claim
from mynah_tasks.errors import StoreUnavailable, Unretryable
from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.task import Task
from mynah_tasks.tests import deeds


@pytest.mark.req("Q-05", "ENG-14", "SHD-06", "Q-07")
async def test_a_failing_task_is_attempted_at_0_2_6_and_14_seconds_and_becomes_a_dead_letter(
    start, store, clock
) -> None:
    engine = await start(store)
    begun, attempts = clock.monotonic(), []

    async def fail(payload):
        attempts.append(clock.monotonic() - begun)
        raise ConnectionError("nobody there")

    engine.register_processor("chat", fail)
    task_id = await engine.submit(Task("chat", {"user_id": "u1", "message": "hi"}))
    for _ in range(3):
        await clock.to_next_timer()
    result = await engine.wait_for_task(task_id)
    assert attempts == [0, 2, 6, 14]
    assert (result.status, result.error, result.attempts) == ("failed", "ConnectionError: nobody there", 4)
    (letter,) = await engine.dead_letters()
    assert letter.to_dict() == {
        "task_id": task_id,
        "error": "ConnectionError: nobody there",
        "retry_count": 3,
        "failed_at": clock.wall(),
        "task": {"user_id": "u1", "message": "hi"},
    }


@pytest.mark.req("Q-05")
async def test_back_off_is_capped_at_sixteen_seconds_and_jittered_by_a_tenth(start, clock) -> None:
    chance = Random(5)
    engine = await start(retry=RetryPolicy(), chance=chance.random)
    task_id = await engine.submit(Task("boom", max_retries=7))
    waits = [await clock.to_next_timer() for _ in range(7)]
    for wait, nominal in zip(waits, [2, 4, 8, 16, 16, 16, 16], strict=True):
        assert nominal * 0.9 <= wait <= min(nominal * 1.1, 16)
    assert len(set(waits)) > 4
    assert (await engine.wait_for_task(task_id)).status is TaskStatus.FAILED


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("Q-06", "ENG-13", "FLAW-Z2", "FLAW-A4")
async def test_a_slow_task_is_attempted_four_times_and_ends_as_timeout(start, store, clock, puppet) -> None:
    engine = await start(store, default_timeout=30.0)
    task_id = await engine.submit(Task("work"))
    for attempt in range(1, 5):
        act = await puppet.next()
        assert act.claim.attempt == attempt
        assert await clock.to_next_timer() == 30.0
        if attempt < 4:
            assert await clock.to_next_timer() == 2.0**attempt
        assert act.was_cancelled
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.error, result.attempts) == ("timeout", "no result after 30 s", 4)
    assert [letter.retry_count for letter in await engine.dead_letters()] == [3]
    metrics = engine.queue_metrics()
    assert (metrics["tasks_timeout"], metrics["tasks_failed"]) == (4, 1)


@pytest.mark.req("Q-10", "ENG-13")
async def test_a_tasks_own_timeout_goes_before_the_engines(start, clock, puppet) -> None:
    engine = await start(default_timeout=30.0)
    await engine.submit(Task("work", timeout=3))
    await puppet.next()
    assert await clock.timer() == 3


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
@pytest.mark.req("ENG-14")
async def test_a_task_may_succeed_after_failures_and_the_last_outcome_counts(start, store, clock) -> None:
    engine = await start(store)

    async def third_time_lucky(payload):
        if current_claim().attempt < 3:
            raise OSError("not yet")
        return "there"

    engine.register_processor("lucky", third_time_lucky)
    task_id = await engine.submit(Task("lucky"))
    for _ in range(2):
        await clock.to_next_timer()
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.result, result.error, result.attempts) == ("completed", "there", None, 3)
    assert await engine.dead_letters() == []


async def test_the_last_attempt_decides_between_timeout_and_failure(start, clock, puppet) -> None:
    engine = await start()
    failed = await engine.submit(Task("work", max_retries=1, timeout=5))
    await puppet.next()
    await clock.to_next_timer()
    await clock.to_next_timer()
    (await puppet.next()).fail(ValueError("no"))
    assert (await engine.wait_for_task(failed)).status is TaskStatus.FAILED


@pytest.mark.parametrize("error", [Unretryable("never"), type("Hopeless", (Exception,), {"retryable": False})("never")])
async def test_an_error_that_would_repeat_itself_is_not_retried(start, store, puppet, error) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work"))
    (await puppet.next()).fail(error)
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.attempts, result.error) == ("failed", 1, f"{type(error).__name__}: never")


@pytest.mark.parametrize("hints", [{}, {"io_bound": True}, {"memory_intensive": True}])
async def test_each_attempt_is_given_the_payload_as_it_was_submitted(start, store, hints) -> None:
    engine = await start(store, retry=RetryPolicy(base=0))
    seen = []

    def use_up(payload):
        seen.append([payload.pop("x"), list(payload["parts"][0])])
        payload["parts"][0].clear()
        raise OSError("no")

    engine.register_processor("use up", use_up)
    payload = {"x": 1, "parts": [[2, 3]]}
    task_id = await engine.submit(Task("use up", payload, max_retries=1, **hints))
    payload.pop("parts")[0].clear()
    await engine.wait_for_task(task_id)
    assert seen == [[1, [2, 3]]] * 2
    (letter,) = await engine.dead_letters()
    assert letter.task == {"x": 1, "parts": [[2, 3]]}


@pytest.mark.parametrize("size", [1, 100_000])
async def test_what_is_no_json_in_a_payload_is_handed_over_itself(start, size) -> None:
    engine = await start(MemoryStore())
    thing = object()
    nested = [thing]
    for _ in range(size):
        nested = [nested]
    for payload in (thing, {"thing": thing}, (thing,), nested):
        result = await engine.wait_for_task(await engine.submit(Task("echo", payload)))
        found = result.result
        while found is not thing:
            (found,) = found.values() if isinstance(found, dict) else found


async def test_an_error_that_the_policy_does_not_name_is_not_retried(start, puppet) -> None:
    engine = await start(retry=RetryPolicy(on=(OSError,)))
    task_id = await engine.submit(Task("work"))
    (await puppet.next()).fail(ValueError("no"))
    assert (await engine.wait_for_task(task_id)).attempts == 1


@pytest.mark.parametrize("kind", [ExecutorKind.INLINE, ExecutorKind.THREAD, ExecutorKind.PROCESS])
@pytest.mark.parametrize(("on", "attempts"), [((ConnectionError,), 1), ((LookupError,), 2), ((KeyError, OSError), 2)])
async def test_the_policy_judges_errors_alike_wherever_they_are_raised(start, kind, on, attempts) -> None:
    engine = await start(retry=RetryPolicy(base=0, on=on))
    engine.register_processor("fail", deeds.raise_a_subclass, kind=kind)
    result = await engine.wait_for_task(await engine.submit(Task("fail", max_retries=1)))
    assert (result.status, result.attempts) == ("failed", attempts)


@pytest.mark.parametrize("kind", [ExecutorKind.THREAD, ExecutorKind.PROCESS])
async def test_a_timeout_is_followed_by_another_attempt_whatever_the_policy_names(start, kind) -> None:
    engine = await start(executors=Executors(grace=0.1), retry=RetryPolicy(base=0, on=(ValueError,)))
    engine.register_processor("hang", deeds.hang_without_gil, kind=kind)
    result = await engine.wait_for_task(await engine.submit(Task("hang", timeout=0.1, max_retries=1)))
    assert (result.status, result.attempts) == ("timeout", 2)


async def test_without_retries_a_task_is_begun_once(start, store, puppet) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work", max_retries=0))
    (await puppet.next()).fail(OSError("no"))
    assert (await engine.wait_for_task(task_id)).attempts == 1


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), RecursionError("deep"), MemoryError()])
async def test_whatever_a_processor_raises_stays_its_own_problem(start, store, puppet, error) -> None:
    engine = await start(store)
    task_id = await engine.submit(Task("work", max_retries=0))
    (await puppet.next()).fail(error)
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.error) == ("failed", f"{type(error).__name__}: {error}")
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Undecided(Exception):
    @property
    def retryable(self) -> bool:
        raise ValueError("who knows")


class Outlaw(BaseException):
    """Not even an Exception."""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unspeakable(), "Unspeakable: its text raised ValueError"),
        (Undecided("hm"), "Undecided: hm"),
        (Outlaw("hm"), "Outlaw: hm"),
        (GeneratorExit(), "ended without an outcome"),
        (ValueError("\ud800"), "ValueError: ?"),
        (ValueError("long" * 10_000), "ValueError: " + "long" * 4_000),
    ],
)
async def test_an_odd_error_ends_the_task_like_any_other(start, store, error, text) -> None:
    engine = await start(store)

    def raise_it(payload):
        raise error

    engine.register_processor("odd", raise_it)
    task_id = await engine.submit(Task("odd", max_retries=0))
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.error) == ("failed", text)


@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
async def test_a_processor_that_cancels_itself_has_failed_and_may_try_again(start, store, clock) -> None:
    engine = await start(store)

    async def give_up(payload):
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    engine.register_processor("give up", give_up)
    task_id = await engine.submit(Task("give up", max_retries=1))
    assert await clock.to_next_timer() == 2
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.error, result.attempts) == ("failed", "CancelledError: ", 2)


async def test_a_result_is_recorded_also_when_the_processor_has_cancelled_itself(start, store) -> None:
    engine = await start(store)

    async def leave(payload):
        asyncio.current_task().cancel()
        return payload

    engine.register_processor("leave", leave)
    assert (await engine.wait_for_task(await engine.submit(Task("leave", 1)))).result == 1


@pytest.mark.parametrize("hints", [{}, {"io_bound": True}])
@pytest.mark.parametrize("store", ["memory", "sqlite"], indirect=True)  # Redis sets timers of its own
async def test_a_result_after_the_deadline_is_thrown_away(start, store, clock, hints) -> None:
    engine = await start(store)
    begun, stubborn_go_on = asyncio.Event(), asyncio.Event()

    async def stubborn(payload):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await stubborn_go_on.wait()
        return "too late"

    engine.register_processor("stubborn", stubborn)
    task_id = await engine.submit(Task("stubborn", timeout=5, max_retries=0, **hints))
    await begun.wait()
    await clock.to_next_timer()
    result = await engine.wait_for_task(task_id)
    assert (result.status, result.result) == ("timeout", None)
    assert [worker["status"] for worker in engine.get_performance_metrics()["worker_stats"].values()].count("busy") == 1
    stubborn_go_on.set()
    assert (await engine.wait_for_task(await engine.submit(Task("echo", 1)))).result == 1
    assert await engine.get_task_result(task_id) == result


@pytest.mark.req("ENG-13")
@pytest.mark.parametrize("kind", [ExecutorKind.THREAD, ExecutorKind.PROCESS])
async def test_a_deadline_holds_in_threads_and_processes_too(start, kind) -> None:
    engine = await start(MemoryStore(), executors=Executors(grace=0.1))
    engine.register_processor("hang", deeds.hang_without_gil, kind=kind)
    result = await engine.wait_for_task(await engine.submit(Task("hang", timeout=0.2, max_retries=0)))
    assert result.status is TaskStatus.TIMEOUT
    assert engine.queue_metrics()["tasks_timeout"] == 1


class Flaky(MemoryStore):
    """A store whose calls fail as often as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, int] = {}

    def _fail(self, call: str) -> None:
        if self.failures.get(call, 0):
            self.failures[call] -= 1
            raise StoreUnavailable("the disk is full")

    async def claim(self, limit, heavy):
        self._fail("claim")
        return await super().claim(limit, heavy)

    async def finish(self, claim, outcome):
        self._fail("finish")
        await super().finish(claim, outcome)


@pytest.mark.req("Q-02")
async def test_the_dispatcher_survives_a_failing_store_and_backs_off_for_a_second(start, clock) -> None:
    store = Flaky()
    store.failures["claim"] = 2
    engine = await start(store)
    task_id = await engine.submit(Task("echo", 1))
    assert [await clock.to_next_timer(), await clock.to_next_timer()] == [1.0, 1.0]
    assert (await engine.wait_for_task(task_id)).result == 1


async def test_an_outcome_that_cannot_be_stored_is_kept_until_it_can(start, clock) -> None:
    store = Flaky()
    store.failures["finish"] = 2
    engine = await start(store)
    ran = []
    engine.register_processor("note", ran.append)
    task_id = await engine.submit(Task("note", 1))
    assert [await clock.to_next_timer(), await clock.to_next_timer()] == [1.0, 1.0]
    assert (await engine.wait_for_task(task_id)).status is TaskStatus.COMPLETED
    assert ran == [1]


@pytest.mark.req("Q-02", "SHD-04")
async def test_the_dispatcher_stops_when_it_is_cancelled(start) -> None:
    engine = await start()
    engine._dispatcher._taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await engine._dispatcher._taking
    assert engine.health() == {"status": "unhealthy", "reason": "processor_stopped"}
