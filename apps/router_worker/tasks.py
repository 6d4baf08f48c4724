"""Tasks that belong to the turns of a conversation: one that goes wrong takes nobody with it."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Self

log = logging.getLogger(__name__)


class Tasks:
    """Tasks that are cancelled when the block ends."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    def start(
        self, work: Coroutine[Any, Any, None], name: str, *, failed: Callable[[], None] | None = None
    ) -> asyncio.Task[None]:
        """Run something beside the rest; when it raises that is logged, and `failed` is called."""

        def done(task: asyncio.Task[None]) -> None:
            self._running.discard(task)
            error = None if task.cancelled() else task.exception()
            if error is not None:
                log.error("%s went wrong", name, exc_info=error)
                if failed is not None:
                    failed()

        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(done)
        return task
