"""What was answered lately, so that a request that comes twice is answered twice and done once."""

from collections import OrderedDict
from typing import Final, NamedTuple

from mynah_bus.packet import Packet

ANSWERS: Final = 512
ANSWER_BYTES: Final = 65_536
"""Of one answer; a larger one is not kept, its request is done again."""
BYTES: Final = 8 << 20
"""Of all that are kept."""


class Request(NamedTuple):
    """What tells a request from all others; the identifier alone would not, as another may have taken it."""

    reply_to: str | None
    identifier: str


class Answers:
    """The latest answers by their request, within bounds of number and size."""

    def __init__(self, *, most: int = ANSWERS, most_bytes: int = BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Request, tuple[list[Packet], int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, request: Request, packets: list[Packet]) -> None:
        """Remember how a request was answered."""
        size = 0
        for packet in packets:
            size += len(packet.payload) + len(packet.correlation or b"")
        if not packets or size > ANSWER_BYTES:
            return
        self._kept[request] = packets, size
        self._bytes += size
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1][1]

    def get(self, request: Request) -> list[Packet]:
        """How a request was answered; empty when that is not known."""
        kept = self._kept.get(request)
        return kept[0] if kept else []
