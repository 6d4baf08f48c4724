"""Which speech engine a worker takes, and why."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from tts_worker.engines import Synthesizer
from tts_worker.engines.espeak import Espeak, EspeakSettings
from tts_worker.engines.scripted import Scripted

EngineName = Literal["auto", "espeak", "scripted"]


class Choice(NamedTuple):
    """An engine, not yet opened, and the sentence to say at start-up."""

    name: str
    why: str
    make: Callable[[], Synthesizer]


def choose(engine: EngineName = "auto", settings: EspeakSettings | None = None) -> Choice:
    """The engine that was asked for; `auto` takes the best one that works without a download."""
    if engine == "scripted":
        return Choice("scripted", "scripted speaks: it was asked for. It plays a tone for each word.", Scripted)
    reason = "it was asked for" if engine == "espeak" else "it is built in and needs no model"
    return Choice("espeak", f"espeak speaks: {reason}. Its voice is robotic.", lambda: Espeak(settings))
