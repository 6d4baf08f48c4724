"""The near side of one worker process: its life from start to reaping, and its calls."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import struct
import sys
from contextlib import closing
from typing import Any, TypeVar

import orjson

from mynah_tasks.executors.codec import pack, restore
from mynah_tasks.executors.errors import ProcessDied, RemoteFailure
from mynah_tasks.executors.shared import SharedMemory, Steps

T = TypeVar("T")

log = logging.getLogger(__name__)

BOOT = "import sys; sys.path[:] = sys.argv[2:]; from mynah_tasks.executors.child import main; main()"
LENGTH = struct.Struct("<I")
LONGEST_START = 60.0
"""Seconds that an interpreter may take to start on the slowest machine."""


class WorkerProcess:
    """A process that works on one task at a time; `life` is done once it has ended and is reaped."""

    def __init__(self, memory_limit: int | None) -> None:
        self._memory_limit = memory_limit or 0
        self._mark = secrets.token_hex(8)
        self._inbound, self._outbound = SharedMemory.create(), SharedMemory.create()
        self._process: asyncio.subprocess.Process | None = None
        self._greeted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.busy = False
        """Whether it has been given work that it has not answered."""
        self._condemned = False
        self.life = asyncio.create_task(self._live(), name="worker-process")

    @property
    def alive(self) -> bool:
        """Whether it runs, or starts; asks the system, which knows before the event loop is told."""
        if self.life.done():
            return False
        if self._process is None:
            return True
        try:
            return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def ready(self) -> None:
        """Wait until it takes work.

        Raises:
            ProcessDied: it ended before.
            OSError: the system could not start it.
        """
        first: set[asyncio.Future[Any]] = {self._greeted, self.life}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if self.life.done():
            raise ProcessDied(self.life.result())

    async def call(self, path: str, payload: object) -> Any:
        """What the function of this import name returns for the payload.

        Raises:
            NotPortable: the payload cannot travel.
            ProcessDied: the process ended before it answered.
            RemoteFailure: the function raised.
        """
        packed = pack(payload, self._mark)
        request = {"fn": path, "mark": self._mark, "notes": packed.notes, "data": orjson.Fragment(packed.text)}
        self.busy = True
        try:
            await _unhurried(self._inbound.write(packed.buffers))
            text = orjson.dumps(request)
            self._writer.write(LENGTH.pack(len(text)) + text)
            await self._writer.drain()
            reply = await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.kill()
            raise ProcessDied(await self.life) from error
        result = await self._outcome(reply)
        self.busy = False
        return result

    def kill(self) -> None:
        """End it and all that it has started, whatever they are doing; a process that starts ends when it has."""
        self._condemned = True
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def _live(self) -> int:
        """Start, wait for the end, tidy up; the exit code, negative for a signal."""
        near, far = socket.socketpair()
        with closing(self._inbound), closing(self._outbound):
            self._reader, self._writer = await asyncio.open_unix_connection(sock=near)
            try:
                with far:
                    self._process = await self._start(far)
                if self._condemned:
                    self.kill()
                await self._greeting()
                return await self._process.wait()
            finally:
                self.kill()
                self._writer.transport.abort()

    async def _start(self, far: socket.socket) -> asyncio.subprocess.Process:
        descriptors = (far.fileno(), self._inbound.descriptor, self._outbound.descriptor)
        numbers = ",".join(map(str, (*descriptors, self._memory_limit, os.getpid())))
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", BOOT, numbers, *sys.path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=2,  # what a task prints must not mix with the answer of our own program
            pass_fds=descriptors,
            start_new_session=True,
        )

    async def _greeting(self) -> None:
        try:
            async with asyncio.timeout(LONGEST_START):
                await self._receive()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        except TimeoutError:
            log.error("a worker process was not ready after %g s", LONGEST_START)  # noqa: TRY400  # no place of interest
            self.kill()
            return
        self._greeted.set_result(None)

    async def _receive(self) -> dict[str, Any]:
        (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
        message: dict[str, Any] = orjson.loads(await self._reader.readexactly(length))
        return message

    async def _outcome(self, reply: dict[str, Any]) -> Any:
        if failure := reply.get("error"):
            self.busy = False
            raise RemoteFailure(
                failure["type"],
                failure["message"],
                failure["traceback"],
                retryable=failure["retryable"],
                kinds=failure["kinds"],
            )
        things = await _unhurried(self._outbound.read(reply["notes"]))
        await _unhurried(self._inbound.shrink())
        await _unhurried(self._outbound.shrink())
        return restore(reply["data"], things, self._mark)


async def _unhurried(steps: Steps[T]) -> T:
    """Take the steps one by one, so that the event loop stays awake."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
        await asyncio.sleep(0)
