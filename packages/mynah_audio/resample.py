"""Changing the rate of sound; what would alias is suppressed by more than 60 dB."""

import numpy as np
from numpy.typing import NDArray

from mynah_audio.pcm import FULL_SCALE, Samples


class Resampler:
    """Changes the rate of one stream of samples, piece by piece."""

    def __init__(self, source_rate: int, target_rate: int) -> None:
        self._stream = None
        if source_rate != target_rate:
            import soxr  # noqa: PLC0415  # 80 ms and 10 MB that sound of the right rate does not need

            # Floats inside: the 16-bit mode of the library adds dither.
            self._stream = soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32", quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """What has become ready; it lags a few milliseconds behind."""
        return self._run(samples, last=False)

    def finish(self) -> Samples:
        """The end of the stream; nothing may be pushed after it."""
        return self._run(np.empty(0, np.int16), last=True)

    def _run(self, samples: Samples, *, last: bool) -> Samples:
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples.astype(np.float32), last=last)
        # The filter overshoots where the source was close to clipping.
        return np.clip(np.rint(resampled), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
