"""The sizes that the engine's users know."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """How many at a time, how many may wait, and how long one may take."""

    workers: int
    capacity: int
    timeout: float | None
    """Seconds per attempt."""


VOICE = Preset(workers=3, capacity=100, timeout=30.0)
PROCESSOR = Preset(workers=10, capacity=1000, timeout=None)
GATEWAY = Preset(workers=5, capacity=10_000, timeout=30.0)
POOL = Preset(workers=4, capacity=50, timeout=30.0)
JOBS = Preset(workers=2, capacity=1000, timeout=3600.0)
