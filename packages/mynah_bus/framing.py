"""A stream of bytes, cut into MQTT packets (MQTT 5.0, section 2.1)."""

from collections.abc import Callable


class Cutter:
    """Calls `read` with the first byte of each packet and what follows its length, as soon as all of it is there."""

    def __init__(self, read: Callable[[int, bytes], None]) -> None:
        self._read = read
        self._rest = bytearray()
        self._wanted = 0

    def feed(self, data: bytes) -> None:
        """Take what has come; ValueError when it is no MQTT."""
        if self._rest:
            self._rest += data
            if len(self._rest) < self._wanted:
                return
            data = bytes(self._rest)
            self._rest.clear()
            self._wanted = 0
        at, end = 0, len(data)
        while at + 1 < end:
            length, start = data[at + 1], at + 2
            if length > 0x7F:  # noqa: PLR2004  # it goes on
                length, start = _length(data, at + 1, end)
                if not start:
                    break
            stop = start + length
            if stop > end:
                self._wanted = stop - at
                break
            self._read(data[at], data[start:stop])
            at = stop
        if at < end:
            self._rest += data[at:] if at else data


def _length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The length of a packet and where its content begins; (0, 0) when not all of the length is there."""
    length = 0
    for shift in (0, 7, 14, 21):
        if at >= end:
            return 0, 0
        byte = data[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the last one
            return length, at
    raise ValueError("the broker sent a length of more than four bytes")
