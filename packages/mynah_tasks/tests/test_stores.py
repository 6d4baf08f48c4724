"""What every store promises; each test runs with each of them."""

import asyncio
import math
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from mynah_tasks.errors import (
    DependencyCycle,
    DuplicateTask,
    EngineStopped,
    QueueFull,
    StaleClaim,
    UnknownDependency,
    UnknownTask,
)
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Outcome, Rules, Store
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.redis import RedisStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Priority, Task, TaskResult

pytestmark = pytest.mark.req("Q-11")

CAPACITY = 20


KEPT = 2
FRUGAL: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda _: MemoryStore(keep=KEPT),
    "sqlite": lambda request: SqliteStore(request.getfixturevalue("tmp_path") / "tasks.db", keep=KEPT),
    "redis": lambda request: RedisStore(
        request.getfixturevalue("redis").url, namespace=uuid.uuid4().hex, lease=math.inf, keep=KEPT, server_clock=False
    ),
}


@pytest.fixture(params=list(FRUGAL))
def frugal(request) -> Store:
    """A store of each kind that keeps little."""
    return FRUGAL[request.param](request)


class Heard:
    """What the store told its listener."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, TaskStatus]] = []
        self.revoked_claims: list[tuple[str, int]] = []

    def finished(self, task: Task, result: TaskResult) -> None:
        assert task.id == result.task_id
        self.ended.append((task.id, result.status))

    def revoked(self, task_id: str, token: int) -> None:
        self.revoked_claims.append((task_id, token))


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest_asyncio.fixture
async def opened(store, clock, heard) -> AsyncIterator[Store]:
    store.attach(heard, Rules(capacity=CAPACITY, ageing=None), clock)
    async with store:
        yield store


def room() -> bool:
    return True


async def claim_one(store: Store) -> Claim:
    (claim,) = await store.claim(1, room)
    return claim


async def run_one(store: Store, result: object = None) -> Claim:
    claim = await claim_one(store)
    await store.finish(claim, Outcome(TaskStatus.COMPLETED, result, None, 0.25))
    return claim


async def fail_one(store: Store, error: str = "ValueError: no") -> Claim:
    claim = await claim_one(store)
    await store.finish(claim, Outcome(TaskStatus.FAILED, None, error, 0.25))
    return claim


async def status_of(store: Store, task_id: str) -> TaskStatus:
    entry = await store.get(task_id)
    assert entry is not None
    return entry.state.status


async def test_a_task_goes_in_is_claimed_and_ends(opened, clock, heard) -> None:
    task = Task("echo", {"n": 1}, tags={"x"})
    assert await opened.add([task]) == [task.id]
    assert opened.counts == Counts(pending=1)
    clock.advance(3)
    claim = await claim_one(opened)
    assert (claim.task, claim.attempt, claim.waited) == (task, 1, 3.0)
    assert opened.counts == Counts(running=1)
    await opened.finish(claim, Outcome(TaskStatus.COMPLETED, {"answer": 42}, None, 0.25))
    entry = await opened.get(task.id)
    assert entry.task == task
    assert entry.state == TaskResult(
        task.id,
        TaskStatus.COMPLETED,
        {"answer": 42},
        execution_time=0.25,
        created_at=clock.wall() - 3,
        completed_at=clock.wall(),
        attempts=1,
    )
    assert opened.counts == Counts()
    assert heard.ended == [(task.id, TaskStatus.COMPLETED)]


@pytest.mark.req("Q-01", "ENG-04")
async def test_urgent_first_and_equal_ones_in_the_order_they_came(opened) -> None:
    tasks = [Task("echo", n, Priority(1 + n % 3)) for n in range(CAPACITY)]
    for task in tasks:
        await opened.add([task])
    order = [(await run_one(opened)).task for _ in tasks]
    assert order == sorted(tasks, key=lambda task: task.priority)


async def test_a_claim_waits_until_there_is_something(opened) -> None:
    waiting = asyncio.create_task(opened.claim(5, room))
    await opened.get("so that the claim is made")
    assert not waiting.done()
    (task_id,) = await opened.add([Task("echo")])
    assert [claim.task.id for claim in await waiting] == [task_id]


async def test_a_claim_takes_as_many_as_there_are_up_to_its_limit(opened) -> None:
    await opened.add([Task("echo") for _ in range(5)])
    assert len(await opened.claim(3, room)) == 3
    assert len(await opened.claim(3, room)) == 2


async def test_a_claim_whose_caller_has_gone_is_given_back(opened) -> None:
    waiting = asyncio.create_task(opened.claim(1, room))
    await opened.get("so that the claim is made")
    adding = asyncio.create_task(opened.add([Task("echo")]))
    await asyncio.sleep(0)
    waiting.cancel()
    await adding
    claim = await claim_one(opened)
    assert claim.attempt == 1


async def test_once_halted_no_claim_is_given(opened) -> None:
    waiting = asyncio.create_task(opened.claim(1, room))
    await opened.get("so that the claim is made")
    opened.halt()
    assert await waiting == []
    await opened.add([Task("echo")])
    assert await opened.claim(1, room) == []
    assert opened.counts == Counts(pending=1)


@pytest.mark.req("ENG-17")
async def test_memory_intensive_tasks_are_held_back_while_there_is_no_memory(opened) -> None:
    memory = [False]
    await opened.add([Task("echo", 1, memory_intensive=True), Task("echo", 2, memory_intensive=True), Task("echo", 3)])
    light = await opened.claim(5, lambda: memory[0])
    assert [claim.task.payload for claim in light] == [3]
    memory[0] = True
    assert [claim.task.payload for claim in await opened.claim(5, lambda: memory[0])] == [1]


@pytest.mark.req("Q-01", "Q-08")
async def test_a_full_queue_refuses_and_has_room_again_when_one_is_taken(opened) -> None:
    await opened.add([Task("echo") for _ in range(CAPACITY)])
    with pytest.raises(QueueFull, match=f"{CAPACITY} tasks wait and {CAPACITY} may"):
        await opened.add([Task("echo")])
    await claim_one(opened)
    await opened.add([Task("echo")])


async def test_a_call_that_does_not_fit_as_a_whole_adds_nothing(opened) -> None:
    await opened.add([Task("echo") for _ in range(CAPACITY - 1)])
    with pytest.raises(QueueFull):
        await opened.add([Task("echo"), Task("echo")])
    assert opened.counts.pending == CAPACITY - 1


async def test_room_is_waited_for_first_come_first_served(opened) -> None:
    await opened.add([Task("echo") for _ in range(CAPACITY)])
    two, one = asyncio.create_task(opened.room(2)), asyncio.create_task(opened.room(1))
    await claim_one(opened)
    await opened.get("so that everybody has heard")
    assert not two.done()
    assert not one.done()
    await claim_one(opened)
    await two
    await opened.add([Task("echo")])
    await one


async def test_an_id_is_taken_once(opened) -> None:
    task = Task("echo")
    await opened.add([task])
    for again in ([task], [Task("echo"), task], [(twin := Task("echo")), twin]):
        with pytest.raises(DuplicateTask):
            await opened.add(again)
    await run_one(opened)
    with pytest.raises(DuplicateTask):
        await opened.add([task])
    assert opened.counts == Counts()


async def test_a_task_that_is_handed_in_again_under_its_key_is_there_once(opened) -> None:
    task = Task("echo", 1, idempotency_key="k")
    assert await opened.add([task]) == [task.id]
    assert await opened.add([task, task]) == [task.id, task.id]
    other = Task("echo", 1, idempotency_key="l")
    assert await opened.add([other, other]) == [other.id, other.id]


async def test_the_same_idempotency_key_means_the_same_task(opened) -> None:
    first = Task("echo", {"n": 1}, idempotency_key="k")
    await opened.add([first])
    assert await opened.add([Task("echo", {"n": 1}, idempotency_key="k")]) == [first.id]
    await run_one(opened)
    assert await opened.add([Task("echo", {"n": 1}, idempotency_key="k")]) == [first.id]
    assert opened.counts == Counts()


async def test_the_same_key_within_a_call_means_the_same_task(opened) -> None:
    first, twin = Task("echo", 1, idempotency_key="k"), Task("echo", 1, idempotency_key="k")
    after = Task("echo", 2, depends_on=[twin.id])
    assert await opened.add([first, twin, after]) == [first.id, first.id, after.id]
    await run_one(opened)
    assert (await claim_one(opened)).task.id == after.id


async def test_the_same_key_for_other_work_is_refused(opened) -> None:
    await opened.add([Task("echo", 1, idempotency_key="k")])
    for other in (Task("echo", 2, idempotency_key="k"), Task("other", 1, idempotency_key="k")):
        with pytest.raises(DuplicateTask, match="belongs to other work"):
            await opened.add([other])


async def test_a_key_means_the_same_before_and_after_its_task_has_ended(opened) -> None:
    def asked_again() -> Task:
        return Task("echo", {"b": (1, 2.0), "a": None}, idempotency_key="k")

    (task_id,) = await opened.add([asked_again()])
    assert await opened.add([asked_again()]) == [task_id]
    await run_one(opened)
    assert await opened.add([asked_again(), Task("echo", {"a": None, "b": [1, 2.0]}, idempotency_key="k")]) == [
        task_id,
        task_id,
    ]
    with pytest.raises(DuplicateTask, match="other work"):
        await opened.add([Task("echo", {"b": [1, 2], "a": None}, idempotency_key="k")])


async def test_a_known_key_is_no_reason_to_refuse_when_the_queue_is_full(opened) -> None:
    known = Task("echo", idempotency_key="k")
    await opened.add([known, *(Task("echo") for _ in range(CAPACITY - 1))])
    assert await opened.add([Task("echo", idempotency_key="k")]) == [known.id]


@pytest.mark.req("ENG-10")
async def test_a_task_is_claimed_only_after_all_it_depends_on_have_completed(opened) -> None:
    left, right = Task("echo", "left"), Task("echo", "right")
    bottom = Task("echo", "bottom", Priority.CRITICAL, depends_on=[left.id, right.id])
    await opened.add([bottom, left, right])
    first, second = await opened.claim(5, room)
    await opened.finish(first, Outcome(TaskStatus.COMPLETED))
    assert opened.counts == Counts(pending=1, running=1)
    await opened.finish(second, Outcome(TaskStatus.COMPLETED))
    assert (await claim_one(opened)).task.id == bottom.id


@pytest.mark.req("ENG-10")
async def test_what_has_completed_is_not_waited_for(opened) -> None:
    parent = Task("echo")
    await opened.add([parent])
    await run_one(opened)
    child = Task("echo", depends_on=[parent.id])
    await opened.add([child])
    assert (await claim_one(opened)).task.id == child.id


@pytest.mark.req("ENG-11", "FLAW-A3")
async def test_a_dependency_that_is_not_there_is_refused(opened) -> None:
    with pytest.raises(UnknownDependency, match="nobody"):
        await opened.add([Task("echo"), Task("echo", depends_on=["nobody"])])
    assert opened.counts == Counts()


@pytest.mark.req("ENG-11", "FLAW-A3")
async def test_a_circle_is_refused(opened) -> None:
    with pytest.raises(DependencyCycle):
        await opened.add([Task("echo", id="a", depends_on=["b"]), Task("echo", id="b", depends_on=["a"]), Task("echo")])
    with pytest.raises(DependencyCycle):
        await opened.add([Task("echo", id="a", depends_on=["a"])])
    assert opened.counts == Counts()


@pytest.mark.req("ENG-11", "FLAW-A3")
@pytest.mark.parametrize("status", [TaskStatus.FAILED, TaskStatus.TIMEOUT])
async def test_what_depends_on_a_failure_ends_cancelled_with_the_reason(opened, status, heard) -> None:
    parent = Task("echo", id="parent")
    child = Task("echo", id="child", depends_on=["parent"])
    grandchild = Task("echo", id="grandchild", depends_on=["child"])
    await opened.add([parent, child, grandchild])
    await opened.finish(await claim_one(opened), Outcome(status, error="no"))
    for task_id in ("child", "grandchild"):
        state = (await opened.get(task_id)).state
        assert (state.status, state.error) == (TaskStatus.CANCELLED, f"depends on parent, which ended {status}")
    assert heard.ended == [("parent", status), ("child", TaskStatus.CANCELLED), ("grandchild", TaskStatus.CANCELLED)]
    assert opened.counts == Counts(dead=1)


@pytest.mark.req("ENG-11")
async def test_what_comes_after_the_failure_ends_cancelled_too(opened) -> None:
    parent = Task("echo", id="parent")
    await opened.add([parent])
    await fail_one(opened)
    await opened.add([Task("echo", id="child", depends_on=["parent"]), Task("echo", id="next", depends_on=["child"])])
    assert await status_of(opened, "child") is TaskStatus.CANCELLED
    assert await status_of(opened, "next") is TaskStatus.CANCELLED
    assert (await opened.get("child")).state.error == "depends on parent, which ended failed"


@pytest.mark.req("ENG-12")
async def test_cancelling_gives_the_ids_of_all_that_was_cancelled(opened) -> None:
    await opened.add(
        [Task("echo", id="a"), Task("echo", id="b", depends_on=["a"]), Task("echo", id="c", depends_on=["b"])]
    )
    await opened.add([Task("echo", id="other")])
    assert await opened.cancel("b", "not needed") == ["b", "c"]
    assert await opened.cancel("b", "not needed") == []
    assert await opened.cancel("nobody", "not needed") == []
    assert (await opened.get("b")).state.error == "not needed"
    assert [(await run_one(opened)).task.id for _ in range(2)] == ["a", "other"]
    assert opened.counts == Counts()


@pytest.mark.req("ENG-12")
async def test_a_claim_on_a_cancelled_task_is_revoked_and_its_outcome_refused(opened, heard) -> None:
    await opened.add([Task("echo", id="a")])
    claim = await claim_one(opened)
    assert await opened.cancel("a", "stop") == ["a"]
    assert heard.revoked_claims == [("a", claim.token)]
    for late in (
        opened.finish(claim, Outcome(TaskStatus.COMPLETED, "too late")),
        opened.retry(claim, "too late", 1.0),
        opened.release(claim),
    ):
        with pytest.raises(StaleClaim):
            await late
    assert await status_of(opened, "a") is TaskStatus.CANCELLED
    assert heard.ended == [("a", TaskStatus.CANCELLED)]


@pytest.mark.req("Q-05")
async def test_a_retry_waits_in_the_store_until_its_time(opened, clock) -> None:
    await opened.add([Task("echo", id="a")])
    first = await claim_one(opened)
    await opened.retry(first, "ValueError: no", 4.0)
    assert opened.counts == Counts(pending=1)
    assert (await opened.get("a")).state.error == "ValueError: no"
    waiting = asyncio.create_task(opened.claim(1, room))
    clock.advance(3.9)
    await opened.get("a")
    assert not waiting.done()
    clock.advance(0.2)
    (second,) = await waiting
    assert (second.task.id, second.attempt) == ("a", 2)
    assert second.token > first.token
    with pytest.raises(StaleClaim):
        await opened.finish(first, Outcome(TaskStatus.COMPLETED))
    await opened.finish(second, Outcome(TaskStatus.COMPLETED))


async def test_a_retry_comes_back_to_a_full_queue(opened) -> None:
    await opened.add([Task("echo") for _ in range(CAPACITY)])
    claim = await claim_one(opened)
    await opened.add([Task("echo")])
    await opened.retry(claim, "no", 0.0)
    assert opened.counts.pending == CAPACITY + 1


@pytest.mark.req("ENG-12")
async def test_a_task_in_back_off_can_be_cancelled(opened, clock) -> None:
    await opened.add([Task("echo", id="a")])
    await opened.retry(await claim_one(opened), "no", 4.0)
    assert await opened.cancel("a", "stop") == ["a"]
    clock.advance(10)
    await opened.add([Task("echo", id="b")])
    assert (await claim_one(opened)).task.id == "b"


async def test_a_released_task_has_not_been_attempted(opened) -> None:
    await opened.add([Task("echo", id="a")])
    await opened.release(await claim_one(opened))
    assert (await opened.get("a")).state.attempts == 0
    assert (await claim_one(opened)).attempt == 1


async def test_a_task_may_be_released_for_later(opened, clock) -> None:
    await opened.add([Task("echo", id="a")])
    await opened.release(await claim_one(opened), 4.0)
    assert opened.counts == Counts(pending=1)
    waiting = asyncio.create_task(opened.claim(1, room))
    clock.advance(3.9)
    await opened.get("a")
    assert not waiting.done()
    clock.advance(0.2)
    assert [(claim.task.id, claim.attempt) for claim in await waiting] == [("a", 1)]


async def test_an_outcome_may_be_reported_again_by_the_same_claim(opened, heard) -> None:
    await opened.add([Task("echo", id="a")])
    claim = await run_one(opened, "first")
    await opened.finish(claim, Outcome(TaskStatus.FAILED, error="second"))
    assert (await opened.get("a")).state.result == "first"
    assert heard.ended == [("a", TaskStatus.COMPLETED)]


async def test_a_task_whose_life_is_over_ends_by_timeout_waiting_or_running(opened, clock, heard) -> None:
    at = clock.wall() + 10
    await opened.add([Task("echo", id="running", expires_at=at), Task("echo", id="waiting", expires_at=at)])
    await opened.add([Task("echo", id="after", depends_on=["waiting"])])
    claim = await claim_one(opened)
    clock.advance(9)
    assert await status_of(opened, "waiting") is TaskStatus.PENDING
    clock.advance(2)
    assert (await opened.wait("waiting")).status is TaskStatus.TIMEOUT
    assert (await opened.wait("running")).status is TaskStatus.TIMEOUT
    assert await status_of(opened, "after") is TaskStatus.CANCELLED
    assert heard.revoked_claims == [("running", claim.token)]
    assert opened.counts == Counts(dead=2)


async def test_the_outcome_is_waited_for_by_everybody_who_wants_it(opened) -> None:
    await opened.add([Task("echo", id="a")])
    waiting = [asyncio.create_task(opened.wait("a")) for _ in range(3)]
    await opened.get("a")
    await run_one(opened, 42)
    assert [(await each).result for each in waiting] == [42, 42, 42]
    assert (await opened.wait("a")).result == 42


async def test_an_unknown_task_is_not_waited_for(opened) -> None:
    with pytest.raises(UnknownTask, match="nobody"):
        await opened.wait("nobody")
    assert await opened.get("nobody") is None


async def test_whoever_waits_when_the_store_closes_is_told(store, clock, heard) -> None:
    store.attach(heard, Rules(capacity=1), clock)
    async with store:
        await store.add([Task("echo", id="a")])
        waiting = [asyncio.create_task(store.wait("a")), asyncio.create_task(store.room(1))]
        await store.get("a")
    for each in waiting:
        with pytest.raises(EngineStopped):
            await each
    with pytest.raises(EngineStopped):
        await store.add([Task("echo")])


async def test_what_is_left_is_there_when_the_store_is_opened_again(store, clock, heard) -> None:
    store.attach(heard, Rules(capacity=10), clock)
    async with store:
        await store.add([Task("echo", id="a"), Task("echo", id="b", depends_on=["a"]), Task("echo", id="c")])
        await store.retry(await claim_one(store), "no", 5.0)
    async with store:
        assert store.counts == Counts(pending=3)
        assert (await claim_one(store)).task.id == "c"
        clock.advance(5)
        assert (await claim_one(store)).task.id == "a"


@pytest.mark.req("Q-07")
async def test_dead_letters_are_listed_the_newest_first(opened) -> None:
    for n in range(5):
        await opened.add([Task("chat", {"user_id": "u", "message": str(n)}, id=str(n))])
        await fail_one(opened, f"error {n}")
    page = await opened.dead_letters(limit=2)
    assert [(letter.task_id, letter.error, letter.task["message"]) for letter in page] == [
        ("4", "error 4", "4"),
        ("3", "error 3", "3"),
    ]
    assert [letter.task_id for letter in await opened.dead_letters(limit=9, before="3")] == ["2", "1", "0"]
    assert opened.counts == Counts(dead=5)


async def die(store: Store, *claims: Claim) -> None:
    for claim in claims:
        await store.finish(claim, Outcome(TaskStatus.FAILED, None, "no", 0.25))


async def letters_of(store: Store, **page: object) -> list[str]:
    return [letter.task_id for letter in await store.dead_letters(**page)]


@pytest.mark.req("Q-07")
async def test_the_newest_letter_is_that_of_the_task_that_died_last(opened) -> None:
    await opened.add([Task("echo", id=name) for name in "abcde"])
    a, b, c, d, e = await opened.claim(5, room)
    await die(opened, e, b, d)
    await opened.finish(c, Outcome(TaskStatus.COMPLETED))
    await die(opened, a)
    assert await letters_of(opened) == ["a", "d", "b", "e"]
    assert await letters_of(opened, limit=2, before="d") == ["b", "e"]


@pytest.mark.req("Q-07")
async def test_the_next_page_goes_on_where_the_last_one_ended_also_when_that_letter_was_replayed(opened) -> None:
    await opened.add([Task("echo", id=name) for name in "abcde"])
    await die(opened, *await opened.claim(5, room))
    assert await letters_of(opened, limit=2) == ["e", "d"]
    await opened.replay("d")
    assert await letters_of(opened, limit=2, before="d") == ["c", "b"]
    await opened.replay("b")
    assert await letters_of(opened, limit=2, before="b") == ["a"]
    await opened.clear_dead_letters()
    await opened.add([Task("echo", id="f", priority=Priority.CRITICAL)])
    await fail_one(opened)
    assert await letters_of(opened, before="a") == []
    assert await letters_of(opened) == ["f"]


@pytest.mark.req("Q-07")
async def test_no_letters_come_before_one_that_is_not_known_or_has_not_ended(opened) -> None:
    await opened.add([Task("echo", id="a"), Task("echo", id="b")])
    await fail_one(opened)
    for unknown in ("b", "nobody", "\ud800"):
        assert await letters_of(opened, before=unknown) == []


@pytest.mark.req("Q-07")
async def test_the_letters_that_are_too_many_are_those_of_the_first_to_die_and_their_tasks_are_forgotten(
    frugal, clock, heard
) -> None:
    frugal.attach(heard, Rules(), clock)
    async with frugal as store:
        await store.add([Task("echo", id=name) for name in "abcd"])
        a, b, c, d = await store.claim(4, room)
        await die(store, b, c, d, a)
        assert await letters_of(store) == ["a", "d"]
        assert store.counts == Counts(dead=KEPT)
        assert [await store.get(name) for name in "bc"] == [None, None]


@pytest.mark.req("Q-07")
async def test_a_dead_letter_is_replayed_once_as_a_task_of_its_own(opened) -> None:
    original = Task("echo", {"n": 1}, Priority.HIGH, tags={"x"}, idempotency_key="k", max_retries=0)
    await opened.add([original])
    await fail_one(opened)
    new = await opened.replay(original.id)
    assert new != original.id
    assert await opened.dead_letters() == []
    assert opened.counts == Counts(pending=1)
    with pytest.raises(UnknownTask):
        await opened.replay(original.id)
    claim = await run_one(opened, "done")
    assert (claim.task.id, claim.task.payload, claim.task.tags, claim.attempt) == (new, {"n": 1}, {"x"}, 1)
    assert await status_of(opened, original.id) is TaskStatus.FAILED
    assert await opened.add([Task("echo", {"n": 1}, idempotency_key="k")]) == [original.id]


async def test_what_is_no_dead_letter_is_not_replayed(opened) -> None:
    await opened.add([Task("echo", id="a")])
    await run_one(opened)
    for task_id in ("a", "nobody"):
        with pytest.raises(UnknownTask):
            await opened.replay(task_id)


async def test_a_full_queue_takes_no_replay_and_keeps_the_letter(opened) -> None:
    await opened.add([Task("echo", id="a")])
    await fail_one(opened)
    await opened.add([Task("echo") for _ in range(CAPACITY)])
    with pytest.raises(QueueFull):
        await opened.replay("a")
    assert [letter.task_id for letter in await opened.dead_letters()] == ["a"]
    assert opened.counts == Counts(pending=CAPACITY, dead=1)


@pytest.mark.req("Q-07")
async def test_dead_letters_can_be_cleared_and_the_outcomes_stay(opened) -> None:
    for n in range(3):
        await opened.add([Task("echo", id=str(n))])
        await fail_one(opened)
    assert await opened.clear_dead_letters() == 3
    assert await opened.clear_dead_letters() == 0
    assert await opened.dead_letters() == []
    assert await status_of(opened, "0") is TaskStatus.FAILED
    assert opened.counts == Counts()


@pytest.mark.req("JOB-02", "ENG-18")
async def test_tasks_are_listed_by_page_status_and_tag(opened) -> None:
    await opened.add([Task("echo", id=str(n), tags={"even"} if n % 2 == 0 else {"odd", "x"}) for n in range(6)])
    await run_one(opened)
    await fail_one(opened)

    async def ids(**query) -> list[str]:
        return [entry.task.id for entry in await opened.entries(**query)]

    assert await ids() == ["5", "4", "3", "2", "1", "0"]
    assert await ids(limit=2) == ["5", "4"]
    assert await ids(limit=2, before="4") == ["3", "2"]
    assert await ids(tag="odd") == ["5", "3", "1"]
    assert await ids(tag="odd", status=TaskStatus.PENDING) == ["5", "3"]
    assert await ids(status=TaskStatus.COMPLETED) == ["0"]
    assert await ids(before="nobody") == []


@pytest.mark.req("ENG-10")
async def test_a_chain_of_a_thousand_and_ten_thousand_parents_are_no_trouble(store, clock, heard) -> None:
    store.attach(heard, Rules(capacity=20_000), clock)
    async with store:
        parents = [Task("echo", id=f"p{n}") for n in range(10_000)]
        await store.add([*parents, Task("echo", id="child", depends_on=[parent.id for parent in parents])])
        chain = [Task("echo", id="c0")] + [Task("echo", id=f"c{n}", depends_on=[f"c{n - 1}"]) for n in range(1, 1000)]
        await store.add(chain)
        assert len(await store.cancel("c0", "no")) == 1000
        claims = [claim for _ in range(100) for claim in await store.claim(100, room)]
        await asyncio.gather(*(store.finish(claim, Outcome(TaskStatus.COMPLETED)) for claim in claims))
        assert (await claim_one(store)).task.id == "child"


async def test_a_ready_task_that_was_cancelled_is_not_given_out(opened) -> None:
    await opened.add([Task("echo", id="a"), Task("echo", id="heavy", memory_intensive=True), Task("echo", id="b")])
    for task_id in ("a", "heavy"):
        assert await opened.cancel(task_id, "stop") == [task_id]
    assert [claim.task.id for claim in await opened.claim(5, room)] == ["b"]
    assert await status_of(opened, "a") is TaskStatus.CANCELLED


async def test_an_outcome_is_for_ever_also_when_the_life_of_the_task_would_be_over(opened, clock, heard) -> None:
    await opened.add([Task("echo", id="a", expires_at=clock.wall() + 10), Task("echo", id="b")])
    await run_one(opened)
    await opened.retry(await claim_one(opened), "no", 20)
    clock.advance(21)
    assert (await claim_one(opened)).task.id == "b"
    assert await status_of(opened, "a") is TaskStatus.COMPLETED
    assert heard.ended == [("a", TaskStatus.COMPLETED)]


async def test_success_leaves_no_error_of_an_earlier_attempt(opened, clock) -> None:
    await opened.add([Task("echo", id="a")])
    await opened.retry(await claim_one(opened), "no", 1)
    clock.advance(1)
    await run_one(opened)
    assert (await opened.get("a")).state.error is None


async def test_a_known_key_is_no_reason_to_refuse_when_retries_have_overfilled_the_queue(opened) -> None:
    known = Task("echo", idempotency_key="k")
    await opened.add([Task("echo"), known, *(Task("echo") for _ in range(CAPACITY - 2))])
    claim = await claim_one(opened)
    await opened.add([Task("echo")])
    await opened.retry(claim, "no", 9)
    assert await opened.add([Task("echo", idempotency_key="k")]) == [known.id]


async def test_a_question_that_makes_no_sense_finds_nothing(opened) -> None:
    task_id, _ = await opened.add([Task("echo", tags={"t"}), Task("echo")])
    await fail_one(opened)
    assert await opened.get("\ud800") is None
    assert await opened.cancel("\ud800", "reason") == []
    for ask in (opened.wait, opened.replay):
        with pytest.raises(UnknownTask):
            await ask("\ud800")
    assert await opened.entries(tag="\ud800") == []
    assert await opened.entries(before="\ud800") == []
    assert [len(await opened.entries(limit=limit)) for limit in (-1, 0, 1, 10**30)] == [0, 0, 1, 2]
    assert [len(await opened.dead_letters(limit=limit)) for limit in (-1, 0, 1, 10**30)] == [0, 0, 1, 1]
    assert await status_of(opened, task_id) is TaskStatus.FAILED


async def test_lists_go_by_acceptance_whatever_has_ended_since(opened) -> None:
    tasks = [Task("echo", n, tags={"even"} if n % 2 == 0 else ()) for n in range(8)]
    await opened.add(tasks)
    claims = await opened.claim(6, room)
    for claim, status in zip(claims[4::-2], (TaskStatus.FAILED, TaskStatus.COMPLETED, TaskStatus.TIMEOUT), strict=True):
        await opened.finish(claim, Outcome(status))
    ids = [task.id for task in tasks]

    async def listed(**options: object) -> list[int]:
        return [ids.index(entry.task.id) for entry in await opened.entries(**options)]

    assert await listed() == [7, 6, 5, 4, 3, 2, 1, 0]
    assert await listed(limit=3) == [7, 6, 5]
    assert await listed(limit=3, before=ids[5]) == [4, 3, 2]
    assert await listed(limit=3, before=ids[4], tag="even") == [2, 0]
    assert await listed(status=TaskStatus.COMPLETED) == [2]
    assert await listed(status=TaskStatus.RUNNING, before=ids[5]) == [3, 1]
    assert await listed(tag="even", limit=2) == [6, 4]
    assert await listed(before=ids[0]) == []
