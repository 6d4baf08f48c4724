"""The engine on Redis against the same model as on the other stores."""

import math
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import settings

from mynah_tasks.stores import Store
from mynah_tasks.stores.redis import RedisStore
from mynah_tasks.tests.redis_process import running_redis
from mynah_tasks.tests.test_stateful import EXAMPLES, MortalMachine, limits

DIE = """
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  redis.call('COPY', key, ARGV[2] .. string.sub(key, #ARGV[1] + 1))
end
local leases = ARGV[2] .. 'leases'
for _, id in ipairs(redis.call('ZRANGE', leases, 0, -1)) do
  redis.call('ZADD', leases, 0, id)
end
"""
"""Copies all tasks to where nobody has touched them, and ends the leases that somebody had."""


class RedisMachine(MortalMachine):
    """A store on a server."""

    keeps_order = True
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.model.goes_by_acceptance = True

    def make_store(self) -> Store:
        return RedisStore(self.url, namespace=uuid.uuid4().hex, lease=math.inf, server_clock=False)

    def store_after_a_crash(self) -> Store:
        dead, left = self.engine._store._link, self.make_store()
        self.do_quietly(dead.do("EVAL", DIE, 0, dead.prefix, left._link.prefix))
        return left


@pytest.mark.timeout(300)
@pytest.mark.req("P1", "FUT-02")
class TestWithRedis(RedisMachine.TestCase):
    # Fewer than for the others, whose steps cost no journey.
    settings = settings(limits, max_examples=max(1, EXAMPLES // 3))

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        RedisMachine.url = cls.enterClassContext(running_redis(Path(folder))).url
