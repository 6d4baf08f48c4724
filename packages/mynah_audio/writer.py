"""Writing a WAV while its sound is still being made."""

from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from mynah_audio.pcm import SAMPLE_RATE, Samples, to_bytes
from mynah_audio.wav import make_header


class WavWriter:
    """A WAV file that is readable after every write, even if the process dies; blocks, may be used from any thread.

    Until it is closed its header says that the length is unknown.
    """

    def __init__(self, path: Path, rate: int = SAMPLE_RATE) -> None:
        self._rate = rate
        self._samples = 0
        # A write that a cancelled task left behind in its thread must not meet the header's.
        self._lock = Lock()
        self._file = path.open("wb", buffering=0)
        self._file.write(make_header(None, rate))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def write(self, samples: Samples) -> None:
        """Append samples."""
        with self._lock:
            self._file.write(to_bytes(samples))
            self._samples += len(samples)

    def close(self) -> None:
        """Say the length in the header; closing twice does nothing."""
        with self._lock:
            if not self._file.closed:
                self._file.seek(0)
                self._file.write(make_header(self._samples, self._rate))
                self._file.close()
