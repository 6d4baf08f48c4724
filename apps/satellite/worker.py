"""The satellite as a process of the fleet."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

from mynah_audio.endpoint import Endpointing
from mynah_audio.vad import SileroVad
from mynah_audio.wake import MicroWakeWord
from mynah_bus import Bus, Worker, produces
from mynah_contracts import Role, SatelliteState
from satellite.echo import OwnVoice
from satellite.listener import Listener
from satellite.room import Room
from satellite.settings import SatelliteSettings
from satellite.sinks import FileSink, NullSink, PipeSink, Sink
from satellite.sources import FileSource, PipeSource, Source

OWN_THRESHOLD: Final = 0.4
"""From which probability what we say ourselves counts as the wake word: sooner than what others say."""

DEAF: Final = "The sound that it listened to has ended: it only speaks."


class Presence:
    """Tells that there is somebody to speak to."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._name = name

    @produces
    async def presence(self) -> AsyncIterator[SatelliteState]:
        """Say so once; the last will of the health message says when it is over."""
        yield SatelliteState(satellite=self._name, state="idle", started_at=self._bus.started_at)


def make_listener(wake_word: str = "", endpointing: Endpointing | None = None) -> Listener:
    """Ears for a room; loads the models, so it blocks."""
    wake = MicroWakeWord((wake_word,)) if wake_word else None
    return Listener(SileroVad(), wake=wake, endpointing=endpointing)


def build() -> Worker:
    """The worker as it runs."""
    settings = SatelliteSettings()
    bus = Bus(Role.SATELLITE, where={"satellite": settings.name})
    room = Room(
        bus,
        settings.name,
        _source(settings.source),
        _sink(settings.sink),
        lambda: make_listener(settings.wake_word),
        echo_free=settings.echo_free,
        own_voice=_own_voice(settings),
        deaf=lambda: worker.say("degraded", DEAF),
    )
    worker = Worker(bus, room, Presence(bus, settings.name))
    return worker


def _own_voice(settings: SatelliteSettings) -> OwnVoice | None:
    """What keeps the satellite from answering its own wake word, where there is one and an echo."""
    word = settings.wake_word
    if not word or settings.echo_free:
        return None
    return OwnVoice(partial(MicroWakeWord, (word,), threshold=OWN_THRESHOLD))


def _source(where: str) -> Source | None:
    if not where:
        return None
    if where == "-":
        return PipeSource(0)
    path = Path(where)
    return PipeSource(path) if path.is_fifo() else FileSource(path)


def _sink(where: str) -> Sink:
    if not where:
        return NullSink()
    if where == "-":
        return PipeSink(1)
    path = Path(where)
    return PipeSink(path) if path.is_fifo() else FileSink(path)
