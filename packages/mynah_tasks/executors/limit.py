"""How long work may take, wherever it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mynah_tasks.executors.errors import DeadlineExceeded


@asynccontextmanager
async def within(timeout: float | None) -> AsyncIterator[None]:
    """A block of somebody's work: DeadlineExceeded after so many seconds; what would end the program only fails."""
    try:
        async with asyncio.timeout(timeout) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():  # it is the work's own
            raise
        raise DeadlineExceeded(f"no answer after {timeout:g} s") from error
    except SystemExit as error:
        raise RuntimeError(f"raised {error!r}") from error
