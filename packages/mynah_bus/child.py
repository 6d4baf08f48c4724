"""Child processes: they leave no orphan behind, and what they say is read to its end."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """For `preexec_fn`: have the kernel end this process when its parent is gone, however that ended (Linux)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == 1:
            os._exit(1)


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[str]:
    """The lines of a stream, without those that are longer than any that is meant for people."""
    while True:
        try:
            raw = await stream.readline()
        except ValueError:
            continue
        if not raw:
            return
        yield raw.decode(errors="replace").rstrip()
