"""When and in which order a connection writes its bytes."""

import asyncio
import socket
import threading

import pytest

from mynah_bus import Bus, BusSettings
from mynah_bus.mqtt import ACKNOWLEDGED_AT_ONCE, Address, Connection
from mynah_bus.packet import Packet, pack
from mynah_contracts import PlaybackControl, Role

CONNACK = bytes([0x20, 3, 0, 0, 0])
LARGE = 8 << 20
"""Bytes; no socket takes so many at once."""


class LatePeer:
    """Takes one connection in a thread of its own, sends messages, and reads only when it is told to."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.sends, self.sent, self.reads = threading.Event(), threading.Event(), threading.Event()

    def serve(self, messages: bytes, length: int) -> bytes:
        """What it has read after the greeting."""
        with self._server, self._server.accept()[0] as line:
            line.settimeout(10)
            line.recv(1 << 16)
            line.sendall(CONNACK)
            self.sends.wait(10)
            line.sendall(messages)
            self.sent.set()
            self.reads.wait(10)
            read = bytearray()
            while len(read) < length:
                read += line.recv(1 << 20)
            return bytes(read)


async def test_nothing_gets_into_a_packet_that_the_network_takes_in_pieces():
    peer = LatePeer()
    numbers = range(1, ACKNOWLEDGED_AT_ONCE + 1)
    messages = b"".join(pack(Packet("x", b"", qos=1), number) for number in numbers)
    acknowledged = b"".join(b"\x40\x02" + number.to_bytes(2, "big") for number in numbers)
    packet = pack(Packet("y", bytes(LARGE), qos=1), 1)
    serving = asyncio.create_task(asyncio.to_thread(peer.serve, messages, len(packet) + len(acknowledged)))
    heard = asyncio.Queue[Packet]()
    address = Address.parse(f"mqtt://127.0.0.1:{peer.port}")
    async with Connection(
        address, client_id="x", will=None, tls=None, arrived=heard.put_nowait, acknowledged=lambda *_: None
    ) as connection:
        peer.sends.set()
        assert peer.sent.wait(10)  # the loop stands still: what was sent is read in its next turn
        connection.send(packet)
        for _ in numbers:
            await heard.get()
        peer.reads.set()
        assert await serving == packet + acknowledged


def hear_one(settings: BusSettings, ready: threading.Event, heard: threading.Event) -> None:
    """Listen on a loop of its own, until something comes."""

    async def hear() -> None:
        async with Bus(Role.GUEST, settings) as bus, bus.listening(PlaybackControl) as controls:
            await bus.ready(10)
            ready.set()
            await anext(controls)
            heard.set()

    asyncio.run(hear())


@pytest.mark.broker
async def test_what_is_said_first_arrives_while_its_sender_goes_on(mosquitto, settings):
    ready, heard = threading.Event(), threading.Event()
    async with Bus(Role.GUEST, settings("speaker")) as bus:
        await bus.ready(10)
        hearing = asyncio.create_task(asyncio.to_thread(hear_one, settings("listener"), ready, heard))
        assert await asyncio.to_thread(ready.wait, 10)
        bus.publish(PlaybackControl(action="stop", satellite="x"))
        arrived = heard.wait(5)  # with this loop at a stand: what waits for it to turn does not leave
        await hearing
    assert arrived
