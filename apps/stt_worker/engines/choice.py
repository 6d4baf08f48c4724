"""Which engine a worker takes, and why."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from stt_worker.engines import SpeechTranscriber
from stt_worker.engines.scripted import Scripted
from stt_worker.engines.sphinx import Sphinx, SphinxSettings


class Choice(NamedTuple):
    """An engine, not yet opened, and the sentence to say at start-up."""

    name: str
    why: str
    make: Callable[[], SpeechTranscriber]


def choose(engine: str, cache: Path) -> Choice:
    """The engine that was asked for; `auto` takes the best one that works without a download."""
    if engine == "scripted":
        return Choice("scripted", "scripted hears: it was asked for. It always hears the same.", Scripted)
    reason = "it was asked for" if engine == "sphinx" else "it is built in and needs no download"
    why = f"sphinx hears: {reason}. It knows the assistant's commands; free speech needs Whisper."
    return Choice("sphinx", why, lambda: Sphinx(SphinxSettings(cache)))
