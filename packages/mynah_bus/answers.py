"""What was done lately and how it was answered, so that a request that comes twice is answered twice and done once."""

from collections import OrderedDict, deque
from typing import Final, NamedTuple

from mynah_bus.packet import Packet

REQUESTS: Final = 512
BYTES: Final = 8 << 20
"""Of all answers that are kept."""
SHARE: Final = 4
"""An answer that takes more than this part of the room is not kept, so that no single one drives out the others."""


class Request(NamedTuple):
    """What tells a request from all others; the identifier alone would not, as another may have taken it."""

    reply_to: str | None
    identifier: str


class Answers:
    """The latest requests, and of their answers the latest that have room."""

    def __init__(self, *, most: int = REQUESTS, most_bytes: int = BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._done: OrderedDict[Request, list[Packet]] = OrderedDict()
        self._said: deque[tuple[list[Packet], int]] = deque()
        self._bytes = 0

    def keep(self, request: Request, packets: list[Packet]) -> None:
        """Remember that a request was done, and how it was answered."""
        self._done[request] = packets
        if len(self._done) > self._most:
            self._done.popitem(last=False)
        if not packets:
            return
        size = 0
        for packet in packets:
            size += len(packet.payload) + len(packet.correlation or b"")
        if size > self._most_bytes // SHARE:
            packets.clear()
            return
        self._said.append((packets, size))
        self._bytes += size
        while len(self._said) > self._most or self._bytes > self._most_bytes:
            oldest, size = self._said.popleft()
            oldest.clear()
            self._bytes -= size

    def get(self, request: Request) -> list[Packet] | None:
        """How a request was answered, empty where that is not kept; None when the request is not known."""
        return self._done.get(request)
