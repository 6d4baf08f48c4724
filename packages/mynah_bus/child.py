"""Child processes: they leave no orphan behind, and what they say is read to its end."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator
from typing import Final

LARGE_PAGES: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""For the environment of what sleeps most of the time: it awakes to memory that the processor has forgotten, and pages
of 2 MB are found sooner (glibc 2.35; others ignore it, and so does a kernel that has none)."""
PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_parent = 0
"""Of the child that is being made; it may well be 1, in a container."""


def _note_parent() -> None:
    global _parent  # noqa: PLW0603  # a child is made with what its parent knew
    _parent = os.getpid()


os.register_at_fork(before=_note_parent)


def die_with_parent() -> None:
    """For `preexec_fn`: have the kernel end this process when its parent is gone, however that ended (Linux)."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != _parent:
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
