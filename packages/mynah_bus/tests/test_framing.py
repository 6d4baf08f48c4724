"""Packets are the same in whatever pieces their bytes come."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_bus.framing import Cutter
from mynah_bus.packet import Packet, pack, unpack

PACKETS = st.builds(
    Packet,
    topic=st.text(st.characters(codec="utf-8"), max_size=10),
    payload=st.binary(max_size=300),
    qos=st.integers(0, 1),
    retain=st.booleans(),
    expires=st.none() | st.integers(0, 2**32 - 1),
    correlation=st.none() | st.binary(max_size=4),
    properties=st.lists(st.tuples(st.text(max_size=4), st.text(max_size=150)), max_size=2).map(tuple),
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(PACKETS, max_size=5), st.lists(st.integers(1, 200), min_size=1))
def test_packets_are_read_as_they_were_written_in_whatever_pieces_they_come(packets: list[Packet], sizes: list[int]):
    read: list[Packet] = []
    cutter = Cutter(lambda first, body: read.append(unpack(first, body)[0]))
    data = b"".join(pack(packet, 1) for packet in packets)
    at = 0
    while at < len(data):
        size = sizes[at % len(sizes)]
        cutter.feed(data[at : at + size])
        at += size
    assert read == packets


def test_a_length_without_an_end_is_no_mqtt():
    with pytest.raises(ValueError, match="more than four bytes"):
        Cutter(lambda first, body: None).feed(b"\x30\xff\xff\xff\xff\x01")


@pytest.mark.parametrize("body", [b"", b"\x00", b"\x00\x05ab", b"\x00\x01a", b"\x00\x01a\x03\x26\x00\x09"])
def test_a_packet_that_ends_too_early_is_malformed(body: bytes):
    with pytest.raises(ValueError, match=r"early|long"):
        unpack(0x30, body)
