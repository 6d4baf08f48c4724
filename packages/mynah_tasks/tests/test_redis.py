"""What only the store on Redis promises: several processes, leases, and a server that fails."""

import asyncio
import os
import random
import subprocess
import sys
import uuid
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from mynah_tasks.clock import SystemClock
from mynah_tasks.errors import QueueFull, StaleClaim, StoreUnavailable, UnknownTask
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Outcome, Rules
from mynah_tasks.stores.redis import RedisStore
from mynah_tasks.stores.redis_coding import read_answer
from mynah_tasks.stores.redis_server import ANSWER, BATCH, LIBRARY, RedisServer
from mynah_tasks.task import Task, TaskResult
from mynah_tasks.testing import ManualClock
from mynah_tasks.tests.redis_process import RedisProcess, running_redis

LEASE = 15.0
DONE = Outcome(TaskStatus.COMPLETED, "done")
WORKER = Path(__file__).with_name("redis_worker.py")
KILLS = int(os.environ.get("MYNAH_KILLS", "4"))
"""How often a worker is killed; 50 for the record."""


class Heard:
    """What a store told its listener."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, TaskStatus]] = []
        self.revoked_claims: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    def finished(self, task: Task, result: TaskResult) -> None:
        self.ended.append((task.id, result.status))

    def revoked(self, task_id: str, token: int) -> None:
        self.revoked_claims.put_nowait((task_id, token))


class Peer:
    """One of several processes, as far as a store can tell: a store object with a clock of its own."""

    def __init__(self, url: str, namespace: str, rules: Rules, keep: int) -> None:
        self.clock = ManualClock()
        self.heard = Heard()
        self.store = RedisStore(url, namespace=namespace, lease=LEASE, keep=keep, server_clock=False)
        self.store.attach(self.heard, rules, self.clock)

    async def claim(self, limit: int = 1) -> list[Claim]:
        return await self.store.claim(limit, lambda: True)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass and what is due happen."""
        self.clock.advance(seconds)
        await self.store.get("so that all before it has happened")


@pytest.fixture
async def peers(redis):
    """Opens two stores on the same tasks."""
    async with AsyncExitStack() as stack:

        async def two(rules: Rules | None = None, keep: int = 100) -> tuple[Peer, Peer]:
            namespace = uuid.uuid4().hex
            both = [Peer(redis.url, namespace, rules or Rules(), keep) for _ in range(2)]
            for peer in both:
                await stack.enter_async_context(peer.store)
            return both[0], both[1]

        yield two


@pytest.mark.req("FUT-02")
async def test_two_processes_share_the_work_and_each_task_is_given_once(peers) -> None:
    here, there = await peers()
    ids = await here.store.add([Task("echo", n) for n in range(20)])
    claims = [claim for peer in (here, there) for claim in await peer.claim(10)]
    assert sorted(claim.task.id for claim in claims) == sorted(ids)
    assert (await here.store.get(ids[0])).state.status is TaskStatus.RUNNING


@pytest.mark.req("FUT-02")
async def test_a_claim_and_a_wait_here_hear_what_happens_there(peers) -> None:
    here, there = await peers()
    claiming = asyncio.create_task(here.claim())
    (task_id,) = await there.store.add([Task("echo")])
    waiting = asyncio.create_task(there.store.wait(task_id))
    (claim,) = await claiming
    await here.store.finish(claim, DONE)
    assert (await waiting).result == "done"
    assert here.heard.ended == [(task_id, TaskStatus.COMPLETED)]
    assert there.heard.ended == [], "only who recorded it says so"


@pytest.mark.req("ENG-12")
async def test_a_task_that_runs_there_can_be_cancelled_from_here(peers) -> None:
    here, there = await peers()
    (task_id,) = await here.store.add([Task("echo")])
    (claim,) = await there.claim()
    assert await here.store.cancel(task_id, "stop") == [task_id]
    assert await there.heard.revoked_claims.get() == (task_id, claim.token)
    assert here.heard.revoked_claims.empty(), "it was not given here"
    with pytest.raises(StaleClaim):
        await there.store.finish(claim, DONE)


@pytest.mark.req("Q-08")
async def test_the_queue_is_bounded_for_all_together_and_room_made_there_is_heard_here(peers) -> None:
    here, there = await peers(Rules(capacity=2))
    await here.store.add([Task("echo"), Task("echo")])
    with pytest.raises(QueueFull):
        await there.store.add([Task("echo")])
    room = asyncio.create_task(here.store.room(1))
    await there.claim()
    await room


@pytest.mark.req("SHD-03")
async def test_what_a_dead_process_ran_is_ready_again_when_its_lease_ends(peers) -> None:
    dead, alive = await peers()
    (task_id,) = await alive.store.add([Task("echo")])
    (lost,) = await dead.claim()
    await alive.pass_time(LEASE - 1)
    assert alive.store.counts == Counts(running=1)
    await alive.pass_time(1)
    (again,) = await alive.claim()
    assert (again.task.id, again.attempt) == (task_id, 2)
    assert again.token > lost.token
    assert (await alive.store.get(task_id)).state.error == "the process died during attempt 1"


@pytest.mark.req("SHD-03")
async def test_a_process_that_only_hung_is_told_and_its_outcome_refused(peers) -> None:
    hung, alive = await peers()
    await alive.store.add([Task("echo")])
    (lost,) = await hung.claim()
    await alive.pass_time(LEASE)
    assert await hung.heard.revoked_claims.get() == (lost.task.id, lost.token)
    (again,) = await alive.claim()
    for late in (hung.store.finish(lost, DONE), hung.store.retry(lost, "no", 1), hung.store.release(lost)):
        with pytest.raises(StaleClaim):
            await late
    await alive.store.finish(again, DONE)
    assert (await alive.store.get(lost.task.id)).state.attempts == 2


async def test_a_process_that_lives_keeps_its_lease(peers) -> None:
    here, there = await peers()
    await here.store.add([Task("echo")])
    (claim,) = await here.claim()
    for _ in range(10):
        await here.pass_time(LEASE / 3)
        await there.pass_time(LEASE / 3)
    await here.store.finish(claim, DONE)
    assert here.heard.revoked_claims.empty()


@pytest.mark.req("ENG-14")
async def test_a_task_that_kills_every_process_ends_as_a_dead_letter(peers) -> None:
    _, alive = await peers()
    (task_id,) = await alive.store.add([Task("echo", max_retries=2)])
    for _ in range(3):
        await alive.store._link._take("claim", 1, 1)
        alive.store._link.owner = uuid.uuid4().hex
        await alive.pass_time(LEASE)
    (letter,) = await alive.store.dead_letters()
    assert (letter.task_id, letter.error, letter.retry_count) == (task_id, "the process died during attempt 3", 2)


async def test_a_task_under_which_two_processes_died_runs_alone(peers) -> None:
    here, there = await peers()
    await here.store.add([Task("echo", "poison", max_retries=9)])
    for _ in range(2):
        await here.store._link._take("claim", 1, 1)
        here.store._link.owner = uuid.uuid4().hex
        await here.pass_time(LEASE)
    await there.pass_time(2 * LEASE)
    await here.store.add([Task("echo", "innocent") for _ in range(4)])
    (poison,) = await here.claim(5)
    assert poison.task.payload == "poison"
    beside = asyncio.create_task(here.claim(5))
    assert [claim.task.payload for claim in await there.claim(2)] == ["innocent"] * 2
    await here.store.get("so that the claim is made")
    assert not beside.done()
    await here.store.finish(poison, DONE)
    assert [claim.task.payload for claim in await beside] == ["innocent"] * 2


async def test_a_suspect_runs_alone_for_a_minute_at_most_and_waits_no_longer_for_that(peers) -> None:
    here, _ = await peers()
    await here.store.add([Task("echo", "poison", max_retries=9)])
    for _ in range(2):
        await here.store._link._take("claim", 1, 1)
        here.store._link.owner = uuid.uuid4().hex
        await here.pass_time(LEASE)
    await here.store.add([Task("echo", "innocent"), Task("echo", "later")])
    (poison,) = await here.claim(1)
    assert (poison.task.payload, poison.crashes) == ("poison", 2)
    beside = asyncio.create_task(here.claim(1))
    await here.pass_time(59)
    assert not beside.done()
    await here.pass_time(LEASE)  # it is looked at whenever leases are renewed
    assert [claim.task.payload for claim in await beside] == ["innocent"]
    await here.store.release(poison)
    following = asyncio.create_task(here.claim(1))
    await here.pass_time(59)
    assert not following.done()
    await here.pass_time(LEASE)  # it is looked at whenever leases are renewed
    assert [claim.task.payload for claim in await following] == ["poison"]


async def test_a_suspect_waits_until_a_process_runs_nothing_else(peers) -> None:
    busy, idle = await peers()
    await busy.store.add([Task("echo", "poison", max_retries=9)])
    for _ in range(2):
        await busy.store._link._take("claim", 1, 1)
        busy.store._link.owner = uuid.uuid4().hex
        await busy.pass_time(LEASE)
    await idle.pass_time(2 * LEASE)
    (poison,) = await busy.claim(1)
    await busy.store.add([Task("echo", "innocent"), Task("echo", "innocent")])
    (innocent,) = await idle.claim(1)
    await busy.store.release(poison)
    beside = asyncio.create_task(idle.claim(5))
    await idle.store.get("so that the claim is made")
    assert not beside.done()
    (again,) = await busy.claim(5)
    assert again.task.payload == "poison"
    assert [claim.task.payload for claim in await beside] == ["innocent"]
    assert innocent.task.payload == "innocent"


async def test_only_the_last_ones_that_ended_are_remembered(peers) -> None:
    here, _ = await peers(keep=3)
    for number in range(5):
        await here.store.add([Task("echo", id=f"good {number}", idempotency_key=f"key {number}")])
        await here.store.finish((await here.claim())[0], DONE)
        await here.store.add([Task("echo", id=f"bad {number}")])
        await here.store.finish((await here.claim())[0], Outcome(TaskStatus.FAILED, error="no"))
    assert [entry.task.id for entry in await here.store.entries(status=TaskStatus.COMPLETED)] == [
        "good 4",
        "good 3",
        "good 2",
    ]
    assert [letter.task_id for letter in await here.store.dead_letters()] == ["bad 4", "bad 3", "bad 2"]
    assert here.store.counts == Counts(dead=3)
    assert await here.store.add([Task("echo", id="again", idempotency_key="key 0")]) == ["again"]


async def test_what_was_given_in_an_answer_that_was_lost_is_given_back(peers) -> None:
    here, there = await peers()
    (task_id,) = await here.store.add([Task("echo")])
    await here.store._link._take("claim", 1, 1)
    await here.pass_time(LEASE / 3)
    (claim,) = await there.claim()
    assert (claim.task.id, claim.attempt) == (task_id, 1)


async def test_a_step_that_is_asked_twice_is_taken_once(peers) -> None:
    here, _ = await peers()
    store = here.store
    await store.add([Task("echo"), Task("echo")])
    claiming = (store._link.owner, "1000", 10**6, "claim", 10, 60, LEASE, 100, 1, 1)
    claimed, again = [read_answer(await store._link.server.step(*claiming)) for _ in range(2)]
    assert claimed == again
    (claim,) = claimed.claims
    assert (await store.entries(status=TaskStatus.PENDING))[0].state.attempts == 0
    settling = (claim.task.id, claim.token, "completed", 0, "", '{"a": [1, null]}')
    ending = (store._link.owner, "1000", 10**6 + 1, "settle", 10, 60, LEASE, 100, *settling)
    ended, again = [read_answer(await store._link.server.step(*ending)) for _ in range(2)]
    assert (ended.counts, ended.wait) == (again.counts, again.wait)
    for answer in (ended, again):
        (record,) = answer.ended
        assert (record.task, record.outcome.result) == (claim.task, {"a": [1, None]})


async def test_an_answer_that_is_asked_for_again_leaves_out_what_was_forgotten_since(peers) -> None:
    here, _ = await peers(keep=1)
    store = here.store
    await store.add([Task("echo", n) for n in range(3)])
    claims = await here.claim(3)
    settling = (claims[0].task.id, claims[0].token, "completed", 0, "", "1")
    ending = (store._link.owner, "1000", 10**6, "settle", 10, 60, LEASE, 1, *settling)
    assert len(read_answer(await store._link.server.step(*ending)).ended) == 1
    await store.finish(claims[1], DONE)
    assert read_answer(await store._link.server.step(*ending)).ended == []


async def test_only_so_many_answers_are_remembered_and_no_task_in_them(peers) -> None:
    here, _ = await peers(Rules(capacity=1000))
    link = here.store._link
    for n in range(0, 2 * BATCH, 100):
        await asyncio.gather(*(here.store.add([Task("echo", f"secret {n}")]) for _ in range(100)))
    for claim in await here.claim(100):
        await here.store.finish(claim, Outcome(TaskStatus.COMPLETED, "secret too"))
    answers = await link.do("HVALS", f"{link.prefix}op:{link.owner}")
    assert len(answers) == BATCH
    assert [answer for answer in answers if b"secret" in answer] == []


async def test_functions_that_somebody_flushed_are_loaded_again(peers) -> None:
    here, _ = await peers()
    await here.store._link.server.do("FUNCTION", "FLUSH")
    (task_id,) = await here.store.add([Task("echo")])
    assert (await here.claim())[0].task.id == task_id


async def test_text_that_is_none_harms_nobody(peers) -> None:
    here, _ = await peers()
    await here.store.add([Task("echo", id="ä", payload={"ö": "\u0000"})])
    (claim,) = await here.claim()
    others = asyncio.gather(*(here.store.add([Task("echo")]) for _ in range(5)))
    await here.store.retry(claim, "no text: \ud800", 0)
    assert len(await others) == 5
    assert (await here.store.get("ä")).state.error == "no text: ?"
    assert await here.store.get("\ud800") is None


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--appendonly", "no"], r"would lose accepted tasks when it dies \(appendonly no\): start it with"),
        (
            ["--appendonly", "yes", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
            r"would throw tasks away when it is full \(allkeys-lru\): start it with",
        ),
    ],
)
async def test_a_server_that_would_lose_tasks_is_refused(tmp_path, options, complaint) -> None:
    with running_redis(tmp_path, *options) as server:
        store = RedisStore(server.url)
        store.attach(Heard(), Rules(), SystemClock())
        with pytest.raises(StoreUnavailable, match=f"redis at 127.0.0.1:{server.port} {complaint}"):
            await store.__aenter__()


async def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path) -> None:
    server = RedisProcess(tmp_path)
    store = RedisStore(server.url.replace("//", "//user:secret@"))
    store.attach(Heard(), Rules(), SystemClock())
    with pytest.raises(StoreUnavailable, match=f"redis at 127.0.0.1:{server.port}") as refused:
        await store.__aenter__()
    assert "secret" not in str(refused.value)
    assert store.trouble == str(refused.value)


@pytest.mark.req("SHD-03")
async def test_accepted_tasks_survive_the_death_of_the_server_and_everybody_goes_on(tmp_path) -> None:
    with running_redis(tmp_path) as server:
        store, heard = RedisStore(server.url), Heard()
        store.attach(heard, Rules(), SystemClock())
        async with store:
            ids = await store.add([Task("echo", n) for n in range(100)])
            claims = await store.claim(10, lambda: True)
            waiting = [asyncio.create_task(store.wait(task_id)) for task_id in ids]
            await store.get(ids[0])
            await asyncio.to_thread(server.kill)
            late = [asyncio.create_task(store.finish(claim, DONE)) for claim in claims]
            await asyncio.to_thread(server.start)
            await asyncio.gather(*late)
            for _ in range(9):
                for claim in await store.claim(10, lambda: True):
                    await store.finish(claim, DONE)
            assert {(await each).status for each in waiting} == {TaskStatus.COMPLETED}
            assert store.trouble is None
            assert Counter(heard.ended) == Counter((task_id, TaskStatus.COMPLETED) for task_id in ids)


async def test_a_server_that_stays_away_is_reported_and_nothing_hangs(tmp_path) -> None:
    with running_redis(tmp_path) as server:
        store = RedisStore(server.url)
        store.attach(Heard(), Rules(), SystemClock())
        async with store:
            server.kill()
            with pytest.raises(StoreUnavailable):
                await store.add([Task("echo")])
            assert f"redis at 127.0.0.1:{server.port}" in store.trouble
        server.start()


@pytest.mark.req("SHD-02")
async def test_a_server_that_hangs_does_not_hold_up_the_end(tmp_path) -> None:
    with running_redis(tmp_path) as server:
        store = RedisStore(server.url)
        store.attach(Heard(), Rules(), SystemClock())
        await store.__aenter__()
        await store.add([Task("echo")])
        (claim,) = await store.claim(1, lambda: True)
        server.hang()
        try:
            calls = [asyncio.create_task(call) for call in (store.release(claim), store.get(claim.task.id))]
            await asyncio.sleep(0)
            async with asyncio.timeout(ANSWER):  # long before the server would be given up
                await store.__aexit__(None, None, None)
        finally:
            server.go_on()
        for call in calls:
            with pytest.raises(StoreUnavailable, match="closed"):
                await call


async def test_who_waits_for_an_outcome_while_the_server_is_away_gets_it_afterwards(tmp_path) -> None:
    with running_redis(tmp_path) as server:
        store = RedisStore(server.url)
        store.attach(Heard(), Rules(), SystemClock())
        async with store:
            (task_id,) = await store.add([Task("echo")])
            await asyncio.to_thread(server.kill)
            patient = asyncio.create_task(store.wait(task_id))
            mistaken = asyncio.create_task(store.wait("nobody"))
            with pytest.raises(StoreUnavailable):
                await store.get(task_id)
            await asyncio.to_thread(server.start)
            (claim,) = await store.claim(1, lambda: True)
            await store.finish(claim, DONE)
            assert (await patient).result == "done"
            with pytest.raises(UnknownTask):
                await mistaken


class Unspeakable(float):
    """A number that nobody can send."""

    def __new__(cls, error: Exception) -> Self:
        number = super().__new__(cls)
        number.error = error
        return number

    def __repr__(self) -> str:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("the transport is closed"), KeyError("whatever it may be")])
async def test_however_a_connection_fails_nobody_hangs(redis, error) -> None:
    async with RedisServer(redis.url, "{unspeakable}:") as server:
        calls = [asyncio.create_task(server.do("ECHO", word)) for word in (Unspeakable(error), "after it")]
        for call in calls:
            with pytest.raises(StoreUnavailable, match=str(error)):
                await call
        assert str(error) in server.trouble
        assert await server.do("ECHO", "again") == b"again"
        assert server.trouble is None


async def test_who_lost_the_connection_hears_afterwards_what_happened(peers) -> None:
    here, there = await peers()
    (task_id,) = await here.store.add([Task("echo")])
    waiting = asyncio.create_task(here.store.wait(task_id))
    (claim,) = await there.claim()
    await there.store._link.server.do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await there.store.finish(claim, DONE)
    assert (await waiting).result == "done"


async def unheard(peer: Peer, *step: str | float) -> None:
    """Take a step of which nobody else hears."""
    link = peer.store._link
    name, *arguments = step
    now = repr(peer.clock.wall())
    call = (link.owner, now, next(link._numbers), name, 10, 60, LEASE, 100, *arguments)
    async with link.server._client.pipeline(transaction=True) as at_once:
        at_once.fcall(LIBRARY, 1, link.prefix, *call)
        at_once.xtrim(f"{link.prefix}events", maxlen=0, approximate=False)
        await at_once.execute()


async def test_who_missed_news_looks_for_himself(peers) -> None:
    here, there = await peers()
    (task_id,) = await here.store.add([Task("echo")])
    waiting = asyncio.create_task(here.store.wait(task_id))
    (claim,) = await there.claim()
    await here.store.get(task_id)
    await unheard(there, "settle", task_id, claim.token, "completed", 0, "", "1")
    await there.store.add([Task("echo")])
    assert (await waiting).result == 1


async def test_who_did_not_hear_that_a_claim_was_lost_learns_it_at_the_next_beat(peers) -> None:
    hung, alive = await peers()
    await alive.store.add([Task("echo")])
    (lost,) = await hung.claim()
    alive.clock.jump(LEASE)
    await unheard(alive, "tick")
    assert hung.heard.revoked_claims.empty()
    hung.clock.advance(LEASE / 3)
    assert await hung.heard.revoked_claims.get() == (lost.task.id, lost.token)


async def begin(claiming: asyncio.Task[list[Claim]]) -> None:
    """Let a claim get under way, but not to its end."""
    for _ in range(3):
        await asyncio.sleep(0)
    assert not claiming.done()


async def test_what_is_claimed_for_somebody_who_has_gone_is_given_back(peers) -> None:
    here, there = await peers()
    await here.store.add([Task("echo")])
    claiming = asyncio.create_task(here.claim())
    await begin(claiming)
    claiming.cancel()
    (claim,) = await there.claim()
    assert claim.attempt == 1


async def test_what_is_claimed_by_a_store_that_was_halted_is_given_back(peers) -> None:
    here, there = await peers()
    await here.store.add([Task("echo")])
    claiming = asyncio.create_task(here.claim())
    await begin(claiming)
    here.store.halt()
    assert await claiming == []
    (claim,) = await there.claim()
    assert claim.attempt == 1


async def test_a_store_that_closes_gives_back_what_it_is_about_to_get(peers, redis) -> None:
    _, there = await peers()
    here = Peer(redis.url, there.store._link.prefix[1:-8], Rules(), 100)
    async with here.store:
        await here.store.add([Task("echo")])
        claiming = asyncio.create_task(here.claim())
        await begin(claiming)
        claiming.cancel()
    (claim,) = await there.claim()
    assert claim.attempt == 1


async def set_the_clock(store: RedisStore, seconds: float) -> None:
    """Let it be found by the next call that the server's clock was set by so much since the last one."""
    for name in ("clock", "ahead"):
        await store._link.do("HINCRBYFLOAT", f"{store._link.prefix}counters", name, -seconds)


@pytest.mark.req("R7", "F15")
@pytest.mark.parametrize("seconds", [7200.0, -7200.0])
async def test_a_server_whose_clock_is_set_neither_takes_work_away_nor_holds_it_up(redis, seconds) -> None:
    namespace, clock = uuid.uuid4().hex, SystemClock()
    here, there = [RedisStore(redis.url, namespace=namespace, lease=6.0) for _ in range(2)]
    heard = Heard()
    for store, listener in ((here, heard), (there, Heard())):
        store.attach(listener, Rules(), clock)
    async with here, there:
        running, other = await here.add([Task("echo", expires_at=clock.wall() + 4000), Task("echo")])
        claims = await here.claim(2, lambda: True)
        await here.retry(claims[1], "again", 0.5)
        await set_the_clock(there, seconds)
        (again,) = await there.claim(1, lambda: True)
        assert (again.task.id, again.attempt) == (other, 2)

        assert heard.revoked_claims.empty()
        await here.finish(claims[0], DONE)
        entry = await there.get(running)
        assert abs(entry.state.completed_at - clock.wall()) < 60
        assert abs(entry.state.created_at - clock.wall()) < 60


@pytest.mark.timeout(600)
@pytest.mark.req("SHD-03", "FUT-02")
async def test_no_task_is_lost_or_ends_twice_while_workers_are_killed(redis, tmp_path) -> None:
    """Four worker processes; one is killed with -9 at a random moment, and another started, again and again."""
    namespace, ledger, chance = uuid.uuid4().hex, tmp_path / "ledger", random.Random(KILLS)

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, str(WORKER), redis.url, namespace, str(ledger)]
        worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert worker.stdout.readline() == "working\n"
        return worker

    def kill(worker: subprocess.Popen[str]) -> None:
        worker.kill()
        worker.communicate()

    store = RedisStore(redis.url, namespace=namespace, lease=1.0)
    store.attach(Heard(), Rules(capacity=100_000), SystemClock())
    accepted: list[str] = []
    async with store:
        workers = [await asyncio.to_thread(start) for _ in range(4)]
        try:
            for _ in range(KILLS):
                accepted += await store.add([Task("work", n, max_retries=KILLS + 3) for n in range(100)])
                # Killed in the middle of the work, at a moment that no two rounds share.
                await store.wait(accepted[-chance.randrange(1, 100)])
                await asyncio.to_thread(kill, workers.pop(0))
                workers.append(await asyncio.to_thread(start))
            outcomes = [await store.wait(task_id) for task_id in accepted]
        finally:
            for worker in workers:
                kill(worker)
        assert [outcome.result for outcome in outcomes] == [n * 2 for n in range(100)] * KILLS
        assert store.counts == Counts()
    recorded = Counter(line.split()[0] for line in ledger.read_text().splitlines())
    assert set(recorded) <= set(accepted)
    assert set(recorded.values()) == {1}, "an outcome was recorded twice"
    retried = sum(outcome.attempts > 1 for outcome in outcomes)
    sys.stdout.write(f"{KILLS} kills, {len(accepted)} accepted, 0 lost, 0 recorded twice, {retried} begun again\n")
