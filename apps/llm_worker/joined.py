"""Deltas that come at once are sent as one: each message costs every process that it passes."""

import asyncio
from collections.abc import AsyncIterator


async def joined(deltas: AsyncIterator[str]) -> AsyncIterator[tuple[str, bool]]:
    """The deltas in their order, those together that are there together, and whether the end is there with them.

    None waits for the next, or to know that it is the last.
    """
    ready: list[str] = []
    news = asyncio.Event()

    async def read() -> None:
        try:
            async for delta in deltas:
                ready.append(delta)
                news.set()
        finally:
            news.set()

    reading = asyncio.create_task(read(), name="deltas")
    try:
        while ready or not reading.done():
            await news.wait()
            news.clear()
            if ready:
                delta = "".join(ready)
                ready.clear()
                yield delta, reading.done() and not reading.cancelled() and reading.exception() is None
        reading.result()
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading})
