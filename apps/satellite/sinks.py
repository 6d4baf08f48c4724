"""Where sound goes: each sink plays 20 ms at a time, so that it can be cut, held and told apart from what was heard."""

import asyncio
import contextlib
import errno
import os
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Protocol, Self

from mynah_audio.errors import AudioError
from mynah_audio.pcm import SAMPLE_RATE, Samples, to_bytes
from mynah_audio.writer import WavWriter

_BLOCKS_A_SECOND: Final = 50
_SLACK_S: Final = 0.1
"""A pause between sounds below which they count as one, so that late wake-ups do not add up."""


class Sink(Protocol):
    """Plays once it is entered."""

    @property
    def rate(self) -> int:
        """Samples a second that it takes."""

    @property
    def position(self) -> int:
        """Samples played since it was made."""

    async def play(self, samples: Samples) -> int:
        """Play after what is being played; the number of samples played, fewer than given only after `stop`."""

    def stop(self) -> None:
        """Cut the sound within 20 ms: every `play` that waits returns; later ones play again."""

    def pause(self) -> None:
        """Hold the sound within 20 ms."""

    def resume(self) -> None:
        """Go on after `pause`."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...


class _BlockSink(ABC):
    """What all sinks share; `paced` ones take as long as the sound lasts."""

    def __init__(self, rate: int, *, paced: bool) -> None:
        self.rate: Final = rate
        self._paced = paced
        self._position = 0
        self._over_at = 0.0
        self._order = asyncio.Lock()
        self._stopped = asyncio.Event()
        self._running = asyncio.Event()
        self._running.set()

    @property
    def position(self) -> int:
        """Samples played since it was made."""
        return self._position

    async def play(self, samples: Samples) -> int:
        """Play after what is being played; the number of samples played, fewer than given only after `stop`."""
        stopped = self._stopped
        length = self.rate // _BLOCKS_A_SECOND
        played = 0
        async with self._order:
            for start in range(0, len(samples), length):
                await self._running.wait()
                if stopped.is_set():
                    break
                block = samples[start : start + length]
                begun_at = asyncio.get_running_loop().time()
                await self._write(block)
                played += len(block)
                self._position += len(block)
                await self._hear(len(block), begun_at, stopped)
        return played

    def stop(self) -> None:
        """Cut the sound within 20 ms: every `play` that waits returns; later ones play again."""
        self._stopped.set()
        self._stopped = asyncio.Event()
        self._running.set()

    def pause(self) -> None:
        """Hold the sound within 20 ms."""
        self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`."""
        self._running.set()

    async def _hear(self, samples: int, begun_at: float, stopped: asyncio.Event) -> None:
        """Wait as long as the block sounds, or give others a chance to run."""
        if not self._paced:
            await asyncio.sleep(0)
            return
        start = self._over_at if begun_at - self._over_at < _SLACK_S else begun_at
        self._over_at = start + samples / self.rate
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._over_at):
                await stopped.wait()

    @abstractmethod
    async def _write(self, block: Samples) -> None:
        """Hand a block on; back only when it was taken."""


class NullSink(_BlockSink):
    """Plays into nothing."""

    def __init__(self, *, rate: int = SAMPLE_RATE, paced: bool = True) -> None:
        super().__init__(rate, paced=paced)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing is open."""

    async def _write(self, block: Samples) -> None:
        """Drop the block."""


class FileSink(_BlockSink):
    """Plays into a WAV, readable at any time and whole once left; what the file held stays until there is sound."""

    def __init__(self, path: Path, *, rate: int = SAMPLE_RATE, paced: bool = False) -> None:
        super().__init__(rate, paced=paced)
        self._path = path
        self._writer: WavWriter | None = None
        self._closed = False
        # A write that a cancelled task left behind in its thread must not meet the end.
        self._lock = Lock()

    async def __aenter__(self) -> Self:
        try:
            await asyncio.to_thread(_check_writable, self._path)
        except OSError as error:
            raise AudioError("unwritable", f"{self._path} cannot be written: {error.strerror}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._close)

    async def _write(self, block: Samples) -> None:
        await asyncio.to_thread(self._append, block)

    def _append(self, block: Samples) -> None:
        with self._lock:
            if self._closed:
                return
            if self._writer is None:
                self._writer = WavWriter(self._path, self.rate)
            self._writer.write(block)

    def _close(self) -> None:
        with self._lock:
            self._closed = True
            if self._writer is not None:
                self._writer.close()


class PipeSink(_BlockSink):
    """Plays bare 16-bit samples into a FIFO that somebody reads, or an open descriptor (1 is standard output).

    A reader that is slow slows the sound, and `stop` too; one that goes away makes `play` raise ConnectionError.
    """

    def __init__(self, pipe: Path | int, *, rate: int = SAMPLE_RATE, paced: bool = True) -> None:
        super().__init__(rate, paced=paced)
        self._pipe = pipe

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.connect_write_pipe(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()),
            os.fdopen(_open(self._pipe), "wb", buffering=0),
        )
        transport.set_write_buffer_limits(high=0)
        self._writer = asyncio.StreamWriter(transport, protocol, None, loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        # Whatever was played has left; a block that a reader does not take would hold up a polite close for ever.
        if not self._writer.is_closing():
            self._writer.transport.abort()

    async def _write(self, block: Samples) -> None:
        self._writer.write(to_bytes(block))
        await self._writer.drain()


def _check_writable(path: Path) -> None:
    """Raises OSError if the file cannot be written; changes nothing."""
    is_new = not path.exists()
    with path.open("ab"):
        pass
    if is_new:
        path.unlink()


def _open(pipe: Path | int) -> int:
    """A descriptor of our own; does not wait for a reader."""
    try:
        descriptor = os.dup(pipe) if isinstance(pipe, int) else os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        reason = "nobody reads it yet" if error.errno == errno.ENXIO else error.strerror
        raise AudioError("unwritable", f"{pipe} cannot be opened: {reason}") from error
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        os.close(descriptor)
        raise AudioError("unwritable", f"{pipe} is not a pipe")
    return descriptor
