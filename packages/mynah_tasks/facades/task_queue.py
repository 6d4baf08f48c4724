"""The asynchronous task queue, in Redis when an address is given."""

from collections.abc import Callable
from typing import Any

from mynah_tasks.facades.queue import AsyncTaskQueue
from mynah_tasks.presets import GATEWAY
from mynah_tasks.stores import Store


class TaskQueue(AsyncTaskQueue):
    """The same queue for one process or many, which then share the Redis server at `redis_url`."""

    def __init__(
        self,
        redis_url: str | None = None,
        max_workers: int = GATEWAY.workers,
        *,
        handler: Callable[[Any], Any] | None = None,
        **others: Any,
    ) -> None:
        if redis_url:
            others["store"] = _redis_store(redis_url)
        super().__init__(handler, max_workers=max_workers, **others)


def _redis_store(url: str) -> Store:
    from mynah_tasks.stores.redis import RedisStore  # noqa: PLC0415  # an extra, for those who have a server

    return RedisStore(url)
