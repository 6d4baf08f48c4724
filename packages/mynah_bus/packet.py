"""An MQTT 5 PUBLISH and its bytes (MQTT 5.0, section 3.3), as far as the bus uses it."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

EXPIRES: Final = 0x02
CONTENT_TYPE: Final = 0x03
RESPONSE_TOPIC: Final = 0x08
CORRELATION: Final = 0x09
SUBSCRIPTION: Final = 0x0B
USER_PROPERTY: Final = 0x26
SKIPPED: Final = {0x01: 1, 0x23: 2}
"""Properties that say nothing to us, and their lengths: payload format, topic alias (we allow none)."""
MOST_PROPERTIES: Final = 1 << 17
"""Bytes: twice what a frame's header may have. Somebody who sends more wants to keep us busy."""


@dataclass(slots=True)
class Packet:
    """A message on its way to or from the broker."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    expires: int | None = None
    """Seconds that are left of its life."""
    response_topic: str | None = None
    correlation: bytes | None = None
    properties: tuple[tuple[str, str], ...] = ()
    content_type: str | None = None
    waited: float = 0.0
    """Seconds that it may have waited unread, because this process stood still."""


def pack(packet: Packet, number: int) -> bytes:
    """The bytes of a PUBLISH; `number` is the packet identifier, of which QoS 0 has none."""
    head = _head(packet.topic)
    if packet.qos:
        head += number.to_bytes(2, "big")
    head += _properties(packet)
    first = 0x30 | packet.qos << 1 | packet.retain
    return b"%c%b%b%b" % (first, _varint(len(head) + len(packet.payload)), head, packet.payload)


def unpack(first: int, body: bytes) -> tuple[Packet, int]:
    """The packet and its identifier (0 at QoS 0) from the first byte and what follows the length.

    Raises ValueError when it is malformed; text that is not UTF-8 is replaced.
    """
    qos = first >> 1 & 3
    number = 0
    try:
        topic, at = _read_text(body, 0)
        if qos:
            number = body[at] << 8 | body[at + 1]
            at += 2
        size, at = _read_varint(body, at)
        start = at + size
        if start > len(body) or size > MOST_PROPERTIES:
            raise ValueError("the properties are too long")
        packet = Packet(topic, body[start:], qos, bool(first & 1))
        if size:
            _read_properties(packet, body, at, start)
    except IndexError:
        raise ValueError("it ends too early") from None
    return packet, number


def identifier(first: int, body: bytes) -> int:
    """The packet identifier of a PUBLISH that may be malformed; 0 when it has none."""
    at = 2 + int.from_bytes(body[:2], "big")
    return int.from_bytes(body[at : at + 2], "big") if first & 6 else 0


@lru_cache(maxsize=256)
def _head(topic: str) -> bytes:
    return _block(topic.encode())


def _properties(packet: Packet) -> bytes:
    """The properties behind their length."""
    data = b"" if packet.expires is None else b"\x02" + packet.expires.to_bytes(4, "big")
    if packet.response_topic is not None:
        data += b"\x08" + _block(packet.response_topic.encode())
    if packet.correlation is not None:
        data += b"\x09" + _block(packet.correlation)
    for name, value in packet.properties:
        data += b"\x26" + _block(name.encode()) + _block(value.encode())
    if packet.content_type is not None:
        data += b"\x03" + _block(packet.content_type.encode())
    return _varint(len(data)) + data


def _read_properties(packet: Packet, body: bytes, at: int, end: int) -> None:
    pairs: list[tuple[str, str]] = []
    while at < end:
        kind = body[at]
        at += 1
        if kind == USER_PROPERTY:
            name, at = _read_text(body, at)
            value, at = _read_text(body, at)
            pairs.append((name, value))
        elif kind == EXPIRES:
            packet.expires = int.from_bytes(body[at : at + 4], "big")
            at += 4
        elif kind == RESPONSE_TOPIC:
            packet.response_topic, at = _read_text(body, at)
        elif kind == CORRELATION:
            packet.correlation, at = _read_block(body, at)
        elif kind == CONTENT_TYPE:
            packet.content_type, at = _read_text(body, at)
        elif kind == SUBSCRIPTION:
            _, at = _read_varint(body, at)
        elif kind in SKIPPED:
            at += SKIPPED[kind]
        else:
            raise ValueError(f"0x{kind:02x} is no property of a PUBLISH")
    if at != end:
        raise ValueError("a property is longer than all of them")
    packet.properties = tuple(pairs)


def _block(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def _read_block(body: bytes, at: int) -> tuple[bytes, int]:
    end = at + 2 + (body[at] << 8 | body[at + 1])
    return body[at + 2 : end], end


def _read_text(body: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + (body[at] << 8 | body[at + 1])
    return str(body[at + 2 : end], "utf-8", "replace"), end


@lru_cache(maxsize=1024)
def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 0x7F:  # noqa: PLR2004  # seven bits a byte
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    digits.append(number)
    return bytes(digits)


def _read_varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in (0, 7, 14, 21):
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004
            return number, at
    raise ValueError("a length is malformed")
