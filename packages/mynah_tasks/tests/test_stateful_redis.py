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
from mynah_tasks.tests.test_stateful import EXAMPLES, EngineMachine, limits


class RedisMachine(EngineMachine):
    """A store on a server; what becomes of dead processes is tested with leases, in test_redis.py."""

    keeps_order = True
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.model.goes_by_acceptance = True

    def make_store(self) -> Store:
        return RedisStore(self.url, namespace=uuid.uuid4().hex, lease=math.inf, server_clock=False)


@pytest.mark.timeout(300)
@pytest.mark.req("P1", "FUT-02")
class TestWithRedis(RedisMachine.TestCase):
    # Fewer than for the others, whose steps cost no journey.
    settings = settings(limits, max_examples=max(1, EXAMPLES // 3))

    @classmethod
    def setUpClass(cls) -> None:
        folder = cls.enterClassContext(tempfile.TemporaryDirectory())
        RedisMachine.url = cls.enterClassContext(running_redis(Path(folder))).url
