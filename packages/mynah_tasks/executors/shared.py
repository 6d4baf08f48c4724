"""Memory that two processes share without a name: it is gone with the last of them, however that one ends."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Self

PIECE = 2**20
"""How many bytes are copied at a time; an event loop gets its turn between two pieces."""
KEPT = 16 * 2**20
"""How many bytes stay allocated between two tasks."""


class SharedMemory:
    """An anonymous file in memory. Copies go through read and write: nothing is mapped, so nothing can fault.

    One side writes, then says so on a socket, then the other reads; they never touch it at the same time.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def create(cls) -> Self:
        """Fresh memory, empty; grows with what is written."""
        if hasattr(os, "memfd_create"):
            return cls(os.memfd_create("mynah-task"))
        with tempfile.TemporaryFile() as file:
            return cls(os.dup(file.fileno()))

    def write(self, buffers: Sequence[memoryview]) -> Iterator[None]:
        """Put the buffers one behind the other; comes up for air between two pieces."""
        offset = 0
        for buffer in buffers:
            for start in range(0, len(buffer), PIECE):
                if start:
                    yield
                piece = buffer[start : start + PIECE]
                while piece:
                    written = os.pwrite(self.descriptor, piece, offset)
                    piece, offset = piece[written:], offset + written

    def read(self, buffers: Sequence[memoryview]) -> Iterator[None]:
        """Fill the buffers with what was written, in the same manner."""
        offset = 0
        for buffer in buffers:
            for start in range(0, len(buffer), PIECE):
                if start:
                    yield
                piece = buffer[start : start + PIECE]
                while piece:
                    read = os.preadv(self.descriptor, [piece], offset)
                    if not read:
                        raise EOFError("the shared memory holds less than was said")
                    piece, offset = piece[read:], offset + read

    def shrink(self) -> None:
        """Give large memory back to the system."""
        if os.fstat(self.descriptor).st_size > KEPT:
            os.ftruncate(self.descriptor, 0)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


class Landing:
    """Own memory for the buffers that notes describe, to be read into."""

    def __init__(self, notes: Sequence[Sequence[Any]]) -> None:
        self._notes = notes
        self._contents = [bytearray(size) for size, *_ in notes]

    @property
    def buffers(self) -> list[memoryview]:
        """Where to read into."""
        return [memoryview(content) for content in self._contents]

    def things(self) -> list[object]:
        """What has landed: writable arrays, and bytes."""
        return [
            _array(content, *array) if array else bytes(content)
            for content, (_, *array) in zip(self._contents, self._notes, strict=True)
        ]


def _array(content: bytearray, dtype: str, shape: Sequence[int]) -> object:
    import numpy as np  # noqa: PLC0415  # a process that never sees an array does without it

    return np.frombuffer(content, dtype=dtype).reshape(shape)
