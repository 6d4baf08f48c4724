"""How something is said, whatever is said: melody, loudness, brightness and pace of a voice."""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from mynah_tasks.task_types.sound import Samples

FRAME_SECONDS, HOP_SECONDS = 0.04, 0.01
LOWEST_PITCH, HIGHEST_PITCH = 65.0, 500.0
"""Hz, from a deep man to a child."""
VOICED = 0.5
"""From which periodicity on a frame is taken for a vowel; 1 is a pure tone."""
QUIET_DB = 35.0
"""How far below the loudest frames speech may lie."""
NEARLY = 0.85
INAUDIBLE_DB = -110.0
"""Nothing but rounding lies below."""
BRIGHT = 1000.0
"""Hz: energy above it grows with effort."""
BLOCK = 1024
LEAST_VOICED = 5
"""Frames without which there is no melody to speak of."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """Figures that do not depend on how far away the microphone was."""

    pitch_hz: float
    """Median."""
    pitch_range: float
    """Semitones between the 10th and the 90th percentile."""
    loudness_range: float
    """Standard deviation of the level of voiced frames, in dB."""
    brightness: float
    """Share of the energy above 1 kHz in voiced frames, 0 to 1."""
    pace: float
    """Peaks of loudness (about one a syllable) per second."""
    voiced_share: float
    """How much of the recording is vowels, 0 to 1."""

    @property
    def arousal(self) -> float:
        """How excited the voice sounds: -1 asleep, 0 reading aloud, 1 shouting."""
        if not self.voiced_share:
            return 0.0
        cues = (
            (self.pitch_range - 12) / 8,
            (self.brightness - 0.15) / 0.2,
            (self.pace - 3.5) / 2,
            (self.loudness_range - 7.5) / 4,
        )
        return float(np.tanh(np.mean(cues)))


def measure(samples: Samples, sample_rate: int) -> Prosody:
    """The prosody of a recording of any length and level."""
    size, hop = int(FRAME_SECONDS * sample_rate), int(HOP_SECONDS * sample_rate)
    frames = sliding_window_view(np.pad(samples, (0, max(0, size - len(samples)))), size)[::hop]
    blocks = [_look_at(frames[first : first + BLOCK], sample_rate) for first in range(0, len(frames), BLOCK)]
    level, period, pitch, bright = (np.concatenate(column) for column in zip(*blocks, strict=True))
    voiced = (period > VOICED) & (level > max(level.max() - QUIET_DB, INAUDIBLE_DB))
    if np.count_nonzero(voiced) < LEAST_VOICED:
        return Prosody(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    spoken = np.flatnonzero(voiced)
    low, median, high = np.quantile(pitch[voiced], (0.1, 0.5, 0.9))
    return Prosody(
        pitch_hz=float(median),
        pitch_range=float(12 * np.log2(high / low)),
        loudness_range=float(level[voiced].std()),
        brightness=float(bright[voiced].mean()),
        pace=_syllables(level, voiced) / float((spoken[-1] - spoken[0] + 1) * HOP_SECONDS),
        voiced_share=float(voiced.mean()),
    )


def _look_at(frames: NDArray[np.float32], sample_rate: int) -> tuple[NDArray[np.float64], ...]:
    """Level in dB, periodicity, pitch in Hz, and share of high frequencies of each frame."""
    size = frames.shape[1]
    spectra = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * np.hanning(size), n=2 * size, axis=1)
    power = np.abs(spectra) ** 2
    total = power.sum(axis=1) + 1e-12
    echo = np.fft.irfft(power, axis=1)
    shortest, longest = int(sample_rate / HIGHEST_PITCH), min(int(sample_rate / LOWEST_PITCH), size - 1)
    fade = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), n=2 * size)) ** 2)[shortest:longest]
    likeness = echo[:, shortest:longest] / (echo[:, :1] + 1e-12) * (np.sum(np.hanning(size) ** 2) / fade)
    lag = _first_peak(likeness)
    level = 10 * np.log10(np.square(frames, dtype=np.float64).mean(axis=1) + 1e-12)
    bright = power[:, int(BRIGHT * 2 * size / sample_rate) :].sum(axis=1) / total
    return level, likeness[np.arange(len(lag)), lag], sample_rate / (lag + shortest), bright


def _first_peak(likeness: NDArray[np.float64]) -> NDArray[np.int64]:
    """The shortest lag that is nearly as good as the best one: a tone also repeats after twice its period."""
    inner = likeness[:, 1:-1]
    peaks = (inner >= likeness[:, :-2]) & (inner > likeness[:, 2:])
    good = peaks & (inner >= NEARLY * inner.max(axis=1, keepdims=True))
    lags: NDArray[np.int64] = np.where(good.any(axis=1), good.argmax(axis=1) + 1, likeness.argmax(axis=1))
    return lags


def _syllables(level: NDArray[np.float64], voiced: NDArray[np.bool_]) -> int:
    """How often loudness rises to a peak that is a vowel."""
    audible = np.maximum(level, level.max() - QUIET_DB)
    smooth, around = (np.convolve(audible, np.full(width, 1 / width), "same") for width in (7, 25))
    peaks = (smooth[1:-1] > smooth[:-2]) & (smooth[1:-1] >= smooth[2:]) & voiced[1:-1]
    return int(np.count_nonzero(peaks & (smooth > around + 0.5)[1:-1]))
