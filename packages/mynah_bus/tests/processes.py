"""Real worker processes, and a tap between them and the broker."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import Counter
from pathlib import Path
from typing import Self

PACKAGES = Path(__file__).resolve().parents[2]
PUBACK = 4
SUBSCRIBE = 8
ENDS_WITHIN_S = 15.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class WorkerProcess:
    """`memory_process` as a process; left, it is gone."""

    def __init__(self, url: str, home: Path, instance: str, **more: str) -> None:
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(PACKAGES),
            "MYNAH_BROKER_URL": url,
            "MYNAH_HOME": str(home),
            "MYNAH_INSTANCE": instance,
            **more,
        }
        self._errors = home.with_name(f"{instance}.log")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self) -> tuple[int, str]:
        """Its exit code, and what it wrote on standard error."""
        assert self._process is not None
        async with asyncio.timeout(ENDS_WITHIN_S):
            code = await self._process.wait()
        return code, self._errors.read_text(encoding="utf-8")

    async def __aenter__(self) -> Self:
        with self._errors.open("wb") as errors:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mynah_bus.tests.memory_process",
                env=self._environment,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self.ended()


class Tap:
    """Stands between clients and the broker, and counts the MQTT packets that clients send, by their type."""

    def __init__(self, broker_url: str) -> None:
        host, _, port = broker_url.removeprefix("mqtt://").partition(":")
        self._target = host, int(port)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.sent: Counter[int] = Counter()
        self._more = asyncio.Event()

    async def until_sent(self, kind: int, count: int) -> None:
        """Wait until clients have sent so many packets of a type; TimeoutError after ten seconds."""
        async with asyncio.timeout(10):
            while self.sent[kind] < count:
                self._more.clear()
                await self._more.wait()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"mqtt://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Hang up on everybody; who comes again is served."""
        for connection in tuple(self._connections):
            connection.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        onward_reader, onward_writer = await asyncio.open_connection(*self._target)
        try:
            await asyncio.gather(self._count(reader, onward_writer), _copy(onward_reader, writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            onward_writer.close()
            writer.close()

    async def _count(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(1)
            length, shift, digits = 0, 0, b""
            while True:
                digit = await reader.readexactly(1)
                digits += digit
                length |= (digit[0] & 0x7F) << shift
                shift += 7
                if not digit[0] & 0x80:
                    break
            self.sent[head[0] >> 4] += 1
            self._more.set()
            writer.write(head + digits + await reader.readexactly(length))
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError("The broker hung up.")
