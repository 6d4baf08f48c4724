"""audio_enhancement: a recording with less noise in it, as loud as it can be."""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from pydantic import Field

from mynah_tasks.task_types.sound import Recording, SampleRate, Samples, Sound
from mynah_tasks.task_types.typed import Payload, typed

FRAME_SECONDS = 0.032
OVERLAP = 4
"""In how many frames each sample lies."""
BLOCK = 1024
"""Frames that are worked on at a time, which bounds the memory."""
LOOKED_AT = 4096
"""Frames of which the noise is learnt, spread over the recording."""
QUIET_SHARE, QUIET_BIAS = 0.2, 1.3
"""The quietest fifth of a band is noise, and a little quieter than noise is on average."""
SMOOTHED = 2
"""Frames on either side over which power is averaged: a single frame of noise looks like a tone."""
GAIN_FLOOR = 0.1
SILENCE = 1e-12
MOST_GAIN = 1000.0
"""60 dB: what is quieter than that is silence, and stays it."""


class AudioEnhancement(Payload):
    """A recording to improve."""

    audio_data: Recording
    sample_rate: SampleRate = 44_100
    noise_reduction: bool = True
    normalization: bool = True
    peak_dbfs: float = Field(default=-1.0, ge=-60, le=0)
    """How loud the loudest sample becomes, unless that is more than 60 dB away."""


class EnhancedAudio(Payload):
    """The improved recording, in the form in which it came."""

    audio_data: Recording
    sample_rate: int
    duration: float
    """Seconds."""
    peak: float
    """0 to 1."""
    noise_removed_db: float
    """How much quieter the quietest fifth became, before it was made louder."""
    gain_db: float
    """How much louder all of it was made."""


@typed
def enhance(request: AudioEnhancement) -> EnhancedAudio:
    """Take steady noise away and bring the loudest sample to its level."""
    sound = Sound.decode(request.audio_data, request.sample_rate)
    samples = reduce_noise(sound.samples, sound.sample_rate) if request.noise_reduction else sound.samples
    removed = _level(sound) - _level(Sound(samples, sound.sample_rate))
    peak = float(np.abs(samples).max())
    gain = 1.0
    if request.normalization and peak > 0:
        gain = min(MOST_GAIN, 10 ** (request.peak_dbfs / 20) / peak)
    return EnhancedAudio(
        audio_data=sound.encode(samples * np.float32(gain)),
        sample_rate=sound.sample_rate,
        duration=len(samples) / sound.sample_rate,
        peak=peak * gain,
        noise_removed_db=removed,
        gain_db=20 * math.log10(gain),
    )


def reduce_noise(samples: Samples, sample_rate: int) -> Samples:
    """Spectral subtraction: what is always there in a band is taken out of it, the more the less there is besides."""
    size = 1 << max(4, math.ceil(math.log2(FRAME_SECONDS * sample_rate)))
    hop = size // OVERLAP
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    padded = np.pad(samples, (size, 2 * size))
    frames = sliding_window_view(padded, size)[::hop]
    noise = _noise(frames, window)
    cleaned = np.zeros(len(padded), np.float32)
    for first in range(0, len(frames), BLOCK):
        spectra, power = _block(frames, window, first)
        pieces = np.fft.irfft(spectra * _gain(power, noise), n=size, axis=1).astype(np.float32) * window
        for number, piece in enumerate(pieces, start=first):
            cleaned[number * hop : number * hop + size] += piece
    weight = np.square(window).reshape(OVERLAP, hop).sum(axis=0)
    return (cleaned / np.resize(weight, len(cleaned)))[size : size + len(samples)].astype(np.float32)


def _noise(frames: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.float64]:
    """The power of the noise in each band."""
    runs = range(0, len(frames), max(BLOCK, BLOCK * (len(frames) // LOOKED_AT)))
    powers = np.concatenate([_block(frames, window, first)[1] for first in runs])
    quiet: NDArray[np.float64] = np.quantile(powers, QUIET_SHARE, axis=0)
    return quiet * QUIET_BIAS


def _block(
    frames: NDArray[np.float32], window: NDArray[np.float32], first: int
) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
    """The spectra of one block of frames, and their power, smoothed over time."""
    before, last = min(first, SMOOTHED), min(first + BLOCK, len(frames))
    spectra = np.fft.rfft(frames[first - before : last + SMOOTHED] * window, axis=1)
    sums = np.cumsum(np.pad(np.abs(spectra) ** 2, ((SMOOTHED + 1 - before, SMOOTHED), (0, 0))), axis=0)
    span = 2 * SMOOTHED + 1
    power = (sums[span:] - sums[:-span])[: last - first] / span
    return spectra[before : before + last - first], power


def _gain(power: NDArray[np.float64], noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much of each band is kept; noise is subtracted the more often the less a frame rises above it."""
    above = 10 * np.log10((power.sum(axis=1) + SILENCE) / (noise.sum() + SILENCE))
    times = np.clip(4 - 0.15 * above, 1, 5)[:, None]
    kept: NDArray[np.float64] = np.maximum(1 - times * noise / (power + SILENCE), GAIN_FLOOR**2)
    return np.sqrt(kept)


def _level(sound: Sound) -> float:
    """The level of the quietest fifth of a recording, in dB."""
    size = max(1, int(FRAME_SECONDS * sound.sample_rate))
    whole = (
        sound.samples[: len(sound.samples) // size * size].reshape(-1, size)
        if len(sound.samples) >= size
        else sound.samples[None]
    )
    return 10 * math.log10(float(np.quantile(np.mean(np.square(whole), axis=1), QUIET_SHARE)) + SILENCE)
