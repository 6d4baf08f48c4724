"""Tasks that live as long as a block."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)


@asynccontextmanager
async def background() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group that raises what went wrong first, in the block or in a task, as it is; the log has the rest."""
    try:
        async with asyncio.TaskGroup() as tasks:
            yield tasks
    except BaseExceptionGroup as group:
        first, *others = group.exceptions
        for other in others:
            log.exception("Besides, something else went wrong", exc_info=other)
        raise first from first.__cause__
