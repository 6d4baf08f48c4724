"""The test of a new connection: a message to ourselves."""

import asyncio
import logging
import time
from typing import Final

from mynah_bus.context import Context
from mynah_bus.link import Link
from mynah_bus.packet import Packet
from mynah_bus.wire import encode
from mynah_contracts import Accepted

log = logging.getLogger(__name__)

SLOW: Final = 0.020
BACK_WITHIN: Final = 5.0
MARK: Final = b"echo"


class Echo:
    """Goes through the broker to our own reply topic; everything retained has arrived when it is back."""

    def __init__(self, topic: str, source: str) -> None:
        self._topic = topic
        self._source = source
        self._back: asyncio.Future[None] | None = None

    async def test(self, link: Link) -> None:
        """Send it, and say so when it is slow twice; TimeoutError when it does not come back."""
        seconds = await self._trip(link)
        if seconds > SLOW:
            seconds = min(seconds, await self._trip(link))
        if seconds > SLOW:
            log.warning("A message through the broker takes %.0f ms; is `set_tcp_nodelay true` set?", seconds * 1e3)

    def heard(self, packet: Packet) -> bool:
        """Whether what has come on our reply topic is an echo."""
        if packet.correlation != MARK:
            return False
        if self._back is not None and not self._back.done():
            self._back.set_result(None)
        return True

    async def _trip(self, link: Link) -> float:
        began = time.perf_counter()
        self._back = asyncio.get_running_loop().create_future()
        packet = encode(Accepted(), topic=self._topic, source=self._source, context=Context())
        packet.correlation, packet.qos = MARK, 1
        try:
            async with asyncio.timeout(BACK_WITHIN):
                link.attempt(packet)
                await self._back
        finally:
            self._back = None
        return time.perf_counter() - began
