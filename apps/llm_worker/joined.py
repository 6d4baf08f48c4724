"""Deltas that come at once are sent as one: each message costs every process that it passes."""

import asyncio
from collections.abc import AsyncIterator


async def joined(deltas: AsyncIterator[str]) -> AsyncIterator[str]:
    """The deltas in their order, those together that are there together; none waits for the next."""
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
                yield delta
        reading.result()
    finally:
        if not reading.done():
            reading.cancel()
            await asyncio.wait({reading})
