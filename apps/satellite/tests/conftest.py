import asyncio
import csv
import os
import selectors
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from blockbuster import blockbuster_ctx

from mynah_audio.pcm import Samples
from mynah_audio.recording import load


@pytest.fixture(autouse=True)
def loop_stays_awake() -> Iterator[None]:
    """A blocking call on an event loop is an error."""
    with blockbuster_ctx():
        yield


class _Skipping(selectors.DefaultSelector):
    """Where others wait for a timer, this moves the clock on."""

    now = 1_000.0

    def select(self, timeout=None):
        ready = super().select(None if timeout is None else 0)
        if not ready and timeout:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds take no time."""

    def __init__(self) -> None:
        self._clock = _Skipping()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


@pytest.fixture
def in_virtual_time() -> Callable[[Coroutine[Any, Any, object]], None]:
    """Runs a coroutine on a loop whose clock jumps from timer to timer."""

    def run(coroutine: Coroutine[Any, Any, object]) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture(params=["asyncio", "uvloop"])
def on_each_loop(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, object]], None]:
    """Runs a coroutine on the loops that the satellite may have."""

    def run(coroutine: Coroutine[Any, Any, object]) -> None:
        factory = asyncio.new_event_loop if request.param == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(coroutine)

    return run


@pytest.fixture(scope="session")
def voices() -> dict[str, Samples]:
    """Recordings of real voices by their file's name."""
    folder = os.environ.get("MYNAH_MODELS_DIR")
    if not folder:
        pytest.skip("MYNAH_MODELS_DIR is not set: no recordings of real voices")
    recordings = Path(folder) / "speech"
    with (recordings / "transcripts.tsv").open(newline="") as table:
        names = [row["file"] for row in csv.DictReader(table, delimiter="\t")]
    return {name.removesuffix(".wav"): load(recordings / name).samples for name in names}


@pytest.fixture
def ramp() -> Callable[[int], Samples]:
    """Sound in which every sample is its own number."""
    return lambda length: np.arange(1, length + 1).astype(np.int16)
