"""The far side of a worker process: takes one task after the other from its socket until its parent is gone."""

import asyncio
import contextlib
import ctypes
import faulthandler
import inspect
import os
import resource
import select
import signal
import socket
import struct
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from mynah_tasks.executors.codec import pack, resolve, restore
from mynah_tasks.executors.errors import kinds_of
from mynah_tasks.executors.shared import KEPT, SharedMemory, at_once
from mynah_tasks.failures import LONGEST_TEXT, encodable, may_help_again, text_of

LENGTH = struct.Struct("<I")
PR_SET_PDEATHSIG = 1
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def main() -> None:
    """Serve until the parent ends; the arguments are descriptors, a limit of memory in bytes (0: none), its pid."""
    channel_fd, inbound_fd, outbound_fd, memory_limit, parent = map(int, sys.argv[1].split(","))
    faulthandler.enable()
    _keep_freed_memory()
    _die_first_when_memory_runs_out(memory_limit)
    with socket.socket(fileno=channel_fd) as channel:
        _die_with(parent, channel)
        inbound, outbound = SharedMemory(inbound_fd), SharedMemory(outbound_fd)
        _send(channel, b"{}")
        while (request := _receive(channel)) is not None:
            _send(channel, _answer(request, inbound, outbound))


def _answer(request: Mapping[str, Any], inbound: SharedMemory, outbound: SharedMemory) -> bytes:
    mark = request["mark"]
    try:
        things = at_once(inbound.read(request["notes"]))
        result = resolve(request["fn"])(restore(request["data"], things, mark))
        if inspect.isawaitable(result):
            result = asyncio.run(_wait_for(result))
        packed = pack(result, mark)
        at_once(outbound.write(packed.buffers))
    except BaseException as error:  # noqa: BLE001  # a task may end itself, not its process
        return orjson.dumps({"error": _described(error)})
    return orjson.dumps({"data": orjson.Fragment(packed.text), "notes": packed.notes})


async def _wait_for(result: Any) -> Any:
    return await result


def _described(error: BaseException) -> dict[str, object]:
    return {
        "type": encodable(type(error).__qualname__),
        "message": text_of(error),
        "traceback": encodable("".join(traceback.format_exception(error))[-LONGEST_TEXT:]),
        "retryable": may_help_again(error),
        "kinds": kinds_of(error),
    }


def _receive(channel: socket.socket) -> Any:
    head = _exactly(channel, LENGTH.size)
    return None if head is None else orjson.loads(_exactly(channel, LENGTH.unpack(head)[0]) or b"null")


def _exactly(channel: socket.socket, size: int) -> bytes | None:
    content = bytearray(size)
    rest = memoryview(content)
    while rest:
        received = channel.recv_into(rest)
        if not received:
            return None
        rest = rest[received:]
    return bytes(content)


def _send(channel: socket.socket, text: bytes) -> None:
    channel.sendall(LENGTH.pack(len(text)) + text)


def _die_first_when_memory_runs_out(limit: int) -> None:
    """Be the one that the kernel kills, rather than the engine; with a limit, fail to allocate before that."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _keep_freed_memory() -> None:
    """Take arrays of the next task from where those of the last one lay: fresh pages cost more than the work."""
    if (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(M_TRIM_THRESHOLD, 4 * KEPT)
        mallopt(M_MMAP_THRESHOLD, KEPT)


def _die_with(parent: int, channel: socket.socket) -> None:
    """Leave no orphan: the kernel kills us with our parent, also in a hung call; elsewhere a closed socket does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    threading.Thread(target=_leave_with, args=(channel,), name="parent-watch", daemon=True).start()


def _leave_with(channel: socket.socket) -> None:
    poll = select.poll()
    poll.register(channel, 0)  # nothing but the hang-up
    poll.poll()
    os._exit(1)
