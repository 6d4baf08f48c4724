"""What a worker tells about itself, and when."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Self

import orjson
import pytest

from mynah_bus import Bus, BusSettings, Worker, handles
from mynah_bus.background import background
from mynah_bus.link import Filter
from mynah_bus.memory_link import MemoryLink
from mynah_bus.tests.puppets import at_work, found, joined, member
from mynah_bus.wire import Packet
from mynah_bus.worker import TOLD_WITHIN
from mynah_contracts import Health, MemoryQuery, MemoryResults, Role
from mynah_resilience import CircuitBreaker

pytestmark = [pytest.mark.asyncio(loop_factories=["virtual"]), pytest.mark.usefixtures("loop_stays_awake")]


class Ponderer:
    """Thinks for a minute; tells what it is made of."""

    engine = "thought"
    model = "slow"

    @handles(at_once=2)
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        await asyncio.sleep(60)
        return found(query.text)


class Slow:
    """Takes a while to open."""

    async def __aenter__(self) -> Self:
        await asyncio.sleep(1)
        return self

    async def __aexit__(self, *error: object) -> None: ...


def told(broker) -> list[Health]:
    """Every health message of the worker, in order."""
    packets = [packet for packet in broker.published if packet.topic == "mynah/system/health/memory/one"]
    assert all(packet.retain and packet.qos == 1 for packet in packets)
    return [Health.received(orjson.loads(packet.payload)["data"]) for packet in packets]


@pytest.mark.req("MET-04")
async def test_a_worker_is_starting_then_up_when_its_parts_are_open_then_down(broker):
    worker = member("one", Slow(), Ponderer())
    async with at_work(broker, worker):
        pass
    assert [health.status for health in told(broker)] == ["starting", "up", "down"]
    assert [health.seq for health in told(broker)] == sorted(health.seq for health in told(broker))
    assert {health.started_at for health in told(broker)} == {worker.bus.started_at}


class Guarded:
    """Calls somebody who may be down."""

    def __init__(self) -> None:
        self.breakers = (CircuitBreaker("index", failure_threshold=1), CircuitBreaker("model"))


async def test_health_tells_whom_a_worker_no_longer_calls(broker):
    part = Guarded()
    async with at_work(broker, member("one", Ponderer(), part)):
        with pytest.raises(OSError, match="away"):
            async with part.breakers[0]:
                raise OSError("away")
    assert told(broker)[0].breakers == {"index": "closed", "model": "closed"}
    assert told(broker)[-1].breakers == {"index": "open", "model": "closed"}


class Broken:
    """Cannot be opened."""

    async def __aenter__(self) -> Self:
        raise NotADirectoryError("memories.sqlite is a folder.")

    async def __aexit__(self, *error: object) -> None: ...


class Failing:
    """Breaks when it is told to, in a task of its own, and takes a while to close."""

    def __init__(self) -> None:
        self.breaks = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(background())
        self._stack.callback(tasks.create_task(self._break(), name="break").cancel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.sleep(1)
        await self._stack.aclose()

    async def _break(self) -> None:
        await self.breaks.wait()
        raise OSError("The device is gone.")


@pytest.mark.req("MQ-18", "MET-04")
async def test_a_worker_whose_part_breaks_is_down_at_once_and_says_why_when_that_is_known(broker):
    part = Failing()
    worker = member("one", part)
    worker.bus.use(broker.link)
    living = asyncio.create_task(worker.run())
    await worker.bus.ready()
    await asyncio.sleep(0.5)
    part.breaks.set()
    await asyncio.sleep(0.5)
    assert [(each.status, each.reason) for each in told(broker)] == [("up", ""), ("down", "")]
    with pytest.raises(OSError, match=r"The device is gone\."):
        await living
    assert [(each.status, each.reason) for each in told(broker)][2:] == [("down", "The device is gone.")]


@pytest.mark.parametrize("part", [Slow, Ponderer], ids=["opening", "up"])
async def test_a_worker_that_is_stopped_says_no_more_than_that(broker, part):
    worker = member("one", part())
    worker.bus.use(broker.link)
    living = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    worker.stop()
    await living
    assert [(each.status, each.reason) for each in told(broker) if each.status == "down"] == [("down", "Stopped.")]


async def test_a_worker_whose_life_is_cancelled_was_stopped(broker):
    worker = member("one", Ponderer())
    worker.bus.use(broker.link)
    living = asyncio.create_task(worker.run())
    await asyncio.sleep(0.5)
    living.cancel()
    await asyncio.wait({living})
    assert [(each.status, each.reason) for each in told(broker) if each.status == "down"] == [("down", "Stopped.")]


@pytest.mark.parametrize("part", [Slow, Broken], ids=["up", "not opened"])
async def test_of_a_worker_that_nobody_expects_back_the_broker_knows_nothing(broker, part):
    worker = Worker(Bus(Role.MEMORY, BusSettings(instance="one")), part(), passing=True)
    with pytest.raises(OSError, match=r"room|folder"):
        async with at_work(broker, worker):
            raise OSError("Nobody is in the room.")
    async with joined(broker, Role.SKILL) as bus:
        assert bus.fleet.workers() == []


@pytest.mark.req("MET-04", "F18")
async def test_a_worker_whose_part_cannot_be_opened_says_why(broker):
    worker = member("one", Slow(), Broken(), Ponderer())
    with pytest.raises(NotADirectoryError):
        async with at_work(broker, worker):
            pass
    assert [(each.status, each.reason) for each in told(broker)][1:] == [("down", "memories.sqlite is a folder.")]
    async with joined(broker, Role.SKILL) as bus:
        assert bus.fleet.find(Role.MEMORY, "one").reason == "memories.sqlite is a folder."


async def test_a_worker_that_fails_before_it_is_connected_waits_for_that_to_say_why(broker):
    with pytest.raises(NotADirectoryError):
        async with at_work(broker, member("one", Broken())):
            pass
    assert [health.status for health in told(broker)] == ["starting", "down"]


async def test_a_worker_that_fails_where_no_broker_is_does_not_wait_for_one_for_long(broker):
    def away(role: Role, instance: str) -> MemoryLink:
        link = broker.link(role, instance)
        link.cut(stays_away=True)
        return link

    worker = member("one", Broken())
    worker.bus.use(away)
    began = asyncio.get_running_loop().time()
    with pytest.raises(NotADirectoryError):
        async with worker:
            pass
    assert asyncio.get_running_loop().time() - began == pytest.approx(TOLD_WITHIN)
    assert told(broker) == []


async def test_up_is_said_only_after_the_subscriptions_are_confirmed(broker):
    class Unconfirmed(MemoryLink):
        """Has to wait for the broker's word on its subscriptions."""

        async def subscribe(self, filters: Sequence[Filter]) -> None:
            await confirmed.wait()
            await super().subscribe(filters)

    confirmed = asyncio.Event()
    worker = member("one", Ponderer())
    worker.bus.use(lambda _, instance: Unconfirmed(broker, instance))
    opening = asyncio.create_task(worker.__aenter__())
    await asyncio.sleep(60)
    assert broker.published == []
    confirmed.set()
    await opening
    assert [health.status for health in told(broker)] == ["up"]
    await worker.__aexit__(None, None, None)


async def test_health_tells_what_a_worker_is_and_does(broker):
    worker = member("one", Ponderer())
    async with at_work(broker, worker), joined(broker, Role.SKILL) as bus:
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)), timeout=200)) for n in range(3)]
        await asyncio.sleep(15)
        health = told(broker)[-1]
        await asyncio.gather(*asked)
    assert (health.engine, health.model, health.handles) == ("thought", "slow", {"memory.query": 2})
    assert (health.in_flight, health.queued) == (2, 1)
    assert health.version
    assert health.pid > 0
    assert health.counters["received"] >= 3
    assert told(broker)[-1].counters["handled"] == 3


class Hog:
    """Keeps the event loop to itself for a moment."""

    @handles
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        until = time.monotonic() + 0.050
        while time.monotonic() < until:
            pass
        return found(query.text)


async def test_health_tells_how_long_the_loop_stood_still_at_worst_and_nearly_always(broker):
    worker = member("one", Hog())
    async with at_work(broker, worker), joined(broker, Role.SKILL) as bus:
        await bus.request(MemoryQuery(text="?"))
    last = told(broker)[-1]
    assert 0 < last.stall_p99_ms <= last.stall_max_ms


@pytest.mark.req("MET-05", "MET-09")
async def test_health_is_told_every_ten_seconds_while_a_model_works(broker):
    loop = asyncio.get_running_loop()
    at: list[float] = []
    broker.watch(lambda packet: at.append(loop.time()) if "/health/memory/" in packet.topic else None)
    async with at_work(broker, member("one", Ponderer())), joined(broker, Role.SKILL) as bus:
        await bus.request(MemoryQuery(text="?"), timeout=200)
    ages = [later - earlier for earlier, later in pairwise(at)]
    assert len(ages) >= 6
    assert max(ages) == pytest.approx(10.0)


async def test_after_a_lost_connection_up_outranks_the_last_will(broker):
    worker = member("one", Ponderer())
    async with at_work(broker, worker), joined(broker, Role.SKILL) as bus:
        seen: list[str] = []
        bus.fleet.on_change.add(lambda health: seen.append(health.status))
        for _ in range(3):
            worker.bus.link.cut()
            await bus.until_up(Role.MEMORY, timeout=5)
            await asyncio.sleep(0.1)
        assert seen == ["down", "up"] * 3
    async with joined(broker, Role.GUEST, "later") as later:
        assert [health.status for health in later.fleet.workers()] == ["down"]


async def test_a_worker_may_say_that_something_is_missing(broker):
    worker = member("one", Ponderer())
    async with at_work(broker, worker), joined(broker, Role.SKILL) as bus:
        worker.say("degraded", "No embedding model.")
        worker.say("degraded", "No embedding model.")
        await asyncio.sleep(0.01)
        assert [(each.status, each.reason) for each in bus.fleet.workers()] == [("degraded", "No embedding model.")]
        assert bus.fleet.is_up(Role.MEMORY)
    assert [health.status for health in told(broker)].count("degraded") == 1


async def test_a_missing_worker_is_named(broker):
    async with joined(broker, Role.SKILL) as bus:
        with pytest.raises(TimeoutError, match=r"Not up after 3 s: memory, llm\."):
            await bus.until_up(Role.MEMORY, Role.LLM, timeout=3)


async def test_who_joins_later_is_told_who_is_up(broker):
    async with at_work(broker, member("one", Ponderer())), joined(broker, Role.GUEST) as bus:
        assert [health.instance for health in bus.fleet.workers()] == ["one"]


async def test_nobody_tells_the_health_of_another(broker):
    forged = Health(service=Role.MEMORY, instance="one", status="down", started_at=2e9)
    payload = orjson.dumps({"data": forged.header()})
    async with at_work(broker, member("one", Ponderer())), joined(broker, Role.SKILL) as bus:
        broker.publish(Packet("mynah/system/health/stt/one", payload, qos=1, retain=True))
        await asyncio.sleep(0.001)
        assert [health.status for health in bus.fleet.workers()] == ["up"]
        assert bus.counters["bad_messages"] == 1


@pytest.mark.parametrize("payload", [b"garbage", b'{"v": 2, "data": {}}', b'{"data": {"service": "memory"}}', b""])
async def test_a_retained_health_message_that_does_not_fit_is_ignored(broker, payload):
    broker.publish(Packet("mynah/system/health/memory/odd", payload, qos=1, retain=True))
    async with at_work(broker, member("one", Ponderer())), joined(broker, Role.SKILL) as bus:
        assert [health.instance for health in bus.fleet.workers()] == ["one"]
        assert (await bus.request(MemoryQuery(text="still here"), MemoryResults, timeout=200)) == found("still here")
