"""Stores, engines and time for the tests of the task engine."""

import math
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.engine import TaskEngine
from mynah_tasks.stores import Store
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.redis import RedisStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.testing import ManualClock, Puppet
from mynah_tasks.tests.redis_process import RedisProcess, running_redis

STORES: dict[str, Callable[[pytest.FixtureRequest], Store]] = {
    "memory": lambda _: MemoryStore(),
    "sqlite": lambda request: SqliteStore(request.getfixturevalue("tmp_path") / "tasks.db"),
    "redis": lambda request: RedisStore(
        request.getfixturevalue("redis").url, namespace=uuid.uuid4().hex, lease=math.inf, server_clock=False
    ),
}
"""Every store runs every test that asks for the `store` fixture."""


@pytest.fixture(scope="session")
def redis(tmp_path_factory) -> Iterator[RedisProcess]:
    """A Redis server that keeps everything."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=list(STORES))
def store(request) -> Store:
    """A store of each kind, not yet open."""
    return STORES[request.param](request)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def puppet() -> Puppet:
    return Puppet()


Start = Callable[..., Awaitable[TaskEngine]]


@pytest_asyncio.fixture
async def start(clock, puppet) -> AsyncIterator[Start]:
    """Starts engines that know `work` (a puppet), `echo` and `boom`, without jitter; stops them after the test."""

    async def echo(payload):
        return payload

    async def boom(payload):
        raise ValueError(payload)

    async with AsyncExitStack() as stack:

        async def run(store: Store | None = None, **options) -> TaskEngine:
            options = {"clock": clock, "retry": RetryPolicy(jitter=0.0)} | options
            engine = TaskEngine(store, **options)
            for name, processor in {"work": puppet, "echo": echo, "boom": boom}.items():
                engine.register_processor(name, processor)
            await engine.start()
            stack.push_async_callback(engine.shutdown, 0)
            return engine

        yield run
