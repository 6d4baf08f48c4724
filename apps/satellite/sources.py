"""Where sound comes from: each source gives frames of 20 ms, 320 samples at 16 kHz, until it ends."""

import asyncio
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from mynah_audio.errors import AudioError
from mynah_audio.frames import FRAME_SAMPLES, Framer
from mynah_audio.pcm import SAMPLE_RATE, Layout, Samples, decode
from mynah_audio.recording import LONGEST_S, load
from mynah_audio.resample import Resampler

_FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
_FRAMES_A_SECOND = SAMPLE_RATE // FRAME_SAMPLES


class Source(Protocol):
    """Gives frames once it is entered; entering raises AudioError."""

    @property
    def goes_on(self) -> bool:
        """Whether another sound may follow one that has ended: iterate again."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    def __aiter__(self) -> AsyncIterator[Samples]:
        """The frames, the last one filled up with silence."""


class FileSource:
    """A recording: paced as a microphone would give it, else as fast as its frames are taken."""

    goes_on = False

    def __init__(self, path: Path, *, paced: bool = True, limit_s: float = LONGEST_S) -> None:
        self._path = path
        self._paced = paced
        self._limit_s = limit_s
        self._frames: list[Samples] = []

    async def __aenter__(self) -> Self:
        recording = await asyncio.to_thread(load, self._path, limit_s=self._limit_s)
        framer = Framer()
        self._frames = [*framer.push(recording.samples), *framer.finish()]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._frames = []

    async def __aiter__(self) -> AsyncIterator[Samples]:
        """The frames, the last one filled up with silence."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number, frame in enumerate(self._frames, start=1):
            # Each deadline is counted from the start, so that late wake-ups do not add up.
            await asyncio.sleep(max(0.0, start + number * _FRAME_S - loop.time()) if self._paced else 0)
            yield frame


class PipeSource:
    """Bare samples from an open descriptor (0 is standard input), or from a FIFO: of one writer after the other.

    Frames that nobody takes stay in the pipe and slow its writer down.
    """

    def __init__(self, pipe: Path | int, *, layout: Layout | None = None) -> None:
        self._pipe = pipe
        self._layout = layout or Layout()
        self._block = self._layout.rate // _FRAMES_A_SECOND * self._layout.frame_bytes
        self.goes_on = not isinstance(pipe, int)

    async def __aenter__(self) -> Self:
        # While this is open, who begins to write as we go from one writer to the next is not cut off.
        self._held = _open(self._pipe)
        await self._connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._transport.close()
        os.close(self._held)

    async def __aiter__(self) -> AsyncIterator[Samples]:
        """The frames until the writer closes the pipe, the last one filled up with silence; AudioError: it is gone."""
        resampler = Resampler(self._layout.rate, SAMPLE_RATE)
        framer = Framer()
        is_open = True
        while is_open:
            try:
                data = await self._reader.readexactly(self._block)
            except asyncio.IncompleteReadError as end:
                data, is_open = end.partial, False
                if self.goes_on:
                    self._transport.close()
                    await self._connect()
            for frame in framer.push(resampler.push(decode(data, self._layout))):
                yield frame
        for frame in (*framer.push(resampler.finish()), *framer.finish()):
            yield frame

    async def _connect(self) -> None:
        """Wait for another writer; only one that comes after this is told apart from those before."""
        self._reader = asyncio.StreamReader(limit=4 * self._block)
        self._transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), os.fdopen(_open(self._pipe), "rb", buffering=0)
        )


def _open(pipe: Path | int) -> int:
    """A descriptor of our own; does not wait for a writer."""
    try:
        descriptor = os.dup(pipe) if isinstance(pipe, int) else os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise AudioError("unreadable", f"{pipe} cannot be opened: {error.strerror}") from error
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        os.close(descriptor)
        raise AudioError("unreadable", f"{pipe} is not a pipe; a file is read as a recording")
    return descriptor
