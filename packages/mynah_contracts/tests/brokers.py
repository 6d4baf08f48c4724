"""A real mosquitto with the committed configuration, and a bare client that tries to do what it may not."""

import asyncio
import contextlib
import json
import shutil
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

import pytest

CONF = Path(__file__).parents[3] / "mosquitto" / "mosquitto.conf"
PROGRAM = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
PLUGIN = next(Path("/usr/lib").glob("**/mosquitto_dynamic_security.so"), None)

needs_mosquitto = [
    pytest.mark.broker,
    pytest.mark.skipif(not PROGRAM or not PLUGIN, reason="mosquitto and its dynamic-security plugin are not installed"),
]


@dataclass
class Broker:
    """A running mosquitto."""

    port: int
    pid: int
    passwords: Mapping[str, str]

    def rss(self) -> int:
        """Bytes of memory that it holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    @contextlib.asynccontextmanager
    async def probe(self, user: str, client_id: str = "", **connect: Any) -> AsyncIterator["Probe"]:
        """A client of a known user."""
        async with Probe.connected(self.port, user, self.passwords[user], client_id, **connect) as probe:
            yield probe


@contextlib.asynccontextmanager
async def mosquitto(
    folder: Path,
    rights: dict[str, Any],
    passwords: Mapping[str, str],
    conf: str | None = None,
) -> AsyncIterator[Broker]:
    """Run a broker on a free port with the lines that a machine decides after the committed ones, or after `conf`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "rights.json").write_text(json.dumps(rights))
    machine = [
        f"listener {port} 127.0.0.1",
        f"persistence_location {folder}/",
        f"plugin {PLUGIN}",
        f"plugin_opt_config_file {folder / 'rights.json'}",
        "user root",
        "log_type information",
    ]
    (folder / "mosquitto.conf").write_text("\n".join([conf or CONF.read_text(), *machine, ""]))
    process = await asyncio.create_subprocess_exec(
        PROGRAM or "mosquitto", "-c", str(folder / "mosquitto.conf"), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    said = b""
    while not said.endswith(b" running\n"):
        line = await process.stderr.readline()
        assert line, said.decode()
        said += line
    listening = asyncio.create_task(process.stderr.read())  # else its log fills the pipe and it stands still
    try:
        yield Broker(port, process.pid, passwords)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        await listening


class Delivery(NamedTuple):
    """A message as it arrived."""

    topic: str
    payload: bytes


@dataclass
class Probe:
    """A bare MQTT 5 client: it sends what it is told, retries nothing, and remembers all that arrives."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: list[Delivery] = field(default_factory=list)
    _arrival: asyncio.Condition = field(default_factory=asyncio.Condition)
    _acknowledged: dict[int, int] = field(default_factory=dict)
    _mid: int = 0
    _gone: bool = False

    @classmethod
    @contextlib.asynccontextmanager
    async def connected(
        cls,
        port: int,
        user: str | None = None,
        password: str | None = None,
        client_id: str = "",
        *,
        clean: bool = True,
        session_s: int = 0,
        will: str | None = None,
    ) -> AsyncIterator[Self]:
        """Connect, or raise ConnectionRefusedError; leaving drops the connection without a word."""
        probe = cls(*await asyncio.open_connection("127.0.0.1", port))
        flags = clean << 1 | (will is not None) << 2 | (password is not None) << 6 | (user is not None) << 7
        packet = _text("MQTT") + bytes([5, flags]) + struct.pack("!HB", 60, 5) + struct.pack("!BI", 0x11, session_s)
        packet += _text(client_id)
        if will is not None:
            packet += b"\0" + _text(will) + _text("will")
        for secret in (user, password):
            packet += b"" if secret is None else _text(secret)
        probe._send(0x10, packet)
        listening = None
        try:
            kind, answer = await probe._packet()
            if kind != 0x20 or answer[1] != 0:
                raise ConnectionRefusedError(answer[1:2].hex())
            listening = asyncio.create_task(probe._listen())
            yield probe
        except asyncio.IncompleteReadError as closed:
            raise ConnectionRefusedError("closed") from closed
        finally:
            probe.writer.transport.abort()
            if listening is not None:
                await listening

    def publish(self, topic: str, payload: str | bytes = "x", *, retain: bool = False) -> None:
        """Send at QoS 1 without waiting; `settled` says when the broker has seen to it."""
        raw = payload.encode() if isinstance(payload, str) else payload
        self._send(0x32 | retain, _text(topic) + self._next() + b"\0" + raw)

    async def published(self, topic: str, payload: str | bytes = "x") -> None:
        """Send at QoS 1 and wait for the acknowledgement; whether anybody got it is another question."""
        self.publish(topic, payload)
        await self._answer()

    async def subscribe(self, topic: str, qos: int = 1) -> None:
        """Ask for a subscription; what the broker answers is not looked at, only what it delivers counts."""
        self._send(0x82, self._next() + b"\0" + _text(topic) + bytes([qos]))
        await self._answer()

    async def unsubscribe(self, topic: str) -> None:
        """End a subscription."""
        self._send(0xA2, self._next() + b"\0" + _text(topic))
        await self._answer()

    async def settled(self) -> None:
        """Return when the broker has dealt with all that was sent so far."""
        await self.unsubscribe("nothing")

    async def settled_or_closed(self) -> None:
        """Return when the broker has dealt with all that was sent, or hung up over it."""
        with contextlib.suppress(ConnectionResetError):
            await self.settled()

    async def arrived(self, topic: str, count: int = 1) -> None:
        """Return when that many messages with this topic are there."""
        await self._until(lambda: sum(delivery.topic == topic for delivery in self.received) >= count)

    async def closed(self) -> None:
        """Return when the broker has ended the connection."""
        await self._until(lambda: self._gone)

    async def _answer(self) -> None:
        mid = self._mid
        await self._until(lambda: mid in self._acknowledged or self._gone)
        if self._gone:
            raise ConnectionResetError("the broker hung up")

    async def _until(self, true: Any) -> None:
        async with asyncio.timeout(10), self._arrival:
            await self._arrival.wait_for(true)

    async def _listen(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                kind, packet = await self._packet()
                async with self._arrival:
                    self._take(kind, packet)
                    self._arrival.notify_all()
        async with self._arrival:
            self._gone = True
            self._arrival.notify_all()

    def _take(self, kind: int, packet: bytes) -> None:
        if kind & 0xF0 != 0x30:
            self._acknowledged[int.from_bytes(packet[:2], "big")] = packet[-1]
            return
        end = 2 + int.from_bytes(packet[:2], "big")
        topic = packet[2:end].decode()
        if kind & 0x06:
            self._send(0x40, packet[end : end + 2])
            end += 2
        self.received.append(Delivery(topic, packet[end + 1 + packet[end] :]))

    async def _packet(self) -> tuple[int, bytes]:
        (kind,) = await self.reader.readexactly(1)
        length = shift = 0
        while True:
            (byte,) = await self.reader.readexactly(1)
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return kind, await self.reader.readexactly(length)

    def _next(self) -> bytes:
        self._mid = self._mid % 0xFFFF + 1
        return self._mid.to_bytes(2, "big")

    def _send(self, kind: int, packet: bytes) -> None:
        length, digits = len(packet), bytearray()
        while length > 0x7F:
            digits.append(length & 0x7F | 0x80)
            length >>= 7
        self.writer.write(bytes([kind, *digits, length]) + packet)


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw
