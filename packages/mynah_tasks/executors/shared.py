"""Memory that two processes share without a name: it is gone with the last of them, however that one ends."""

import io
import os
import tempfile
from collections.abc import Generator, Sequence
from typing import Any, Self, TypeVar

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Work in small pieces, between which an event loop can have its turn."""
PIECE = 2**20
"""How many bytes are copied at a time."""
KEPT = 16 * PIECE
"""How many bytes stay allocated between two tasks, and how many are given back at a time."""


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

    def write(self, buffers: Sequence[memoryview]) -> Steps[None]:
        """Put the buffers one behind the other."""
        offset = 0
        for buffer in buffers:
            for start in range(0, len(buffer), PIECE):
                if start:
                    yield
                piece = buffer[start : start + PIECE]
                while piece:
                    written = os.pwrite(self.descriptor, piece, offset)
                    piece, offset = piece[written:], offset + written

    def read(self, notes: Sequence[Sequence[Any]]) -> Steps[list[object]]:
        """What was written, by its notes: a size in bytes, and for an array its dtype and shape.

        Arrays are fresh and writable. Raises EOFError when less was written than the notes say.
        """
        things: list[object] = []
        offset = 0
        for size, *array in notes:
            things.append((yield from self._array(offset, *array) if array else self._bytes(offset, size)))
            offset += size
        return things

    def shrink(self) -> Steps[None]:
        """Give large memory back to the system."""
        for size in range(os.fstat(self.descriptor).st_size, KEPT, -KEPT):
            os.ftruncate(self.descriptor, max(KEPT, size - KEPT))
            yield

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def _bytes(self, offset: int, size: int) -> Steps[bytes]:
        first = os.pread(self.descriptor, min(PIECE, size), offset)
        if len(first) == size:
            return first
        content = io.BytesIO()
        while rest := size - content.tell():
            piece = os.pread(self.descriptor, min(PIECE, rest), offset + content.tell())
            if not piece:
                raise EOFError("the shared memory holds less than was said")
            content.write(piece)
            if len(piece) < rest:
                yield
        return content.getvalue()  # its own buffer, not a copy

    def _array(self, offset: int, dtype: str, shape: Sequence[int]) -> Steps[object]:
        import numpy as np  # noqa: PLC0415  # a process that never sees an array does without it

        array = np.empty(shape, dtype)
        rest = array.reshape(-1).view(np.uint8).data
        while rest:
            read = os.preadv(self.descriptor, [rest[:PIECE]], offset)
            if not read:
                raise EOFError("the shared memory holds less than was said")
            rest, offset = rest[read:], offset + read
            if rest:
                yield
        return array


def at_once(steps: Steps[T]) -> T:
    """Take all steps, for those who have no event loop."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result
