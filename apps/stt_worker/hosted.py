"""What runs in the recogniser's own process: one engine, kept from call to call."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from stt_worker.engines import SpeechTranscriber
from stt_worker.engines.choice import choose
from stt_worker.engines.errors import BadWords


def prepare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Load the engine and have it learn the vocabulary, so that the first recording does not wait for it."""
    choice = choose(payload["engine"], Path(payload["cache"]))
    learned = _learned(payload["engine"], payload["cache"], payload["vocabulary"])
    return {"engine": choice.name, "why": choice.why, **learned}


def transcribe(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The words in a recording."""
    heard = _ready(payload).transcribe(payload["samples"], language=payload["language"])
    return {"text": heard.text, "confidence": heard.confidence, "mode": heard.metrics.get("mode", "")}


def transcribe_part(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The words in a recording that goes on."""
    heard = _ready(payload).partial(payload["samples"], language=payload["language"])
    return {"text": heard.text, "complete": heard.is_complete}


def _ready(payload: Mapping[str, Any]) -> SpeechTranscriber:
    """The engine, knowing the vocabulary; also in a process that was started in the place of one that was killed."""
    _learned(payload["engine"], payload["cache"], payload["vocabulary"])
    return _opened(payload["engine"], payload["cache"])


@cache
def _opened(engine: str, folder: str) -> SpeechTranscriber:
    return choose(engine, Path(folder)).make().open()


@lru_cache(maxsize=1)
def _learned(engine: str, folder: str, vocabulary: str | None) -> dict[str, Any]:
    try:
        intents = json.loads(Path(vocabulary).read_bytes()) if vocabulary else None
    except ValueError as error:
        raise BadWords(f"The vocabulary is damaged: {error}") from error
    learned = _opened(engine, folder).learn(intents)
    return {"mode": learned.mode, "words": learned.words, "lost": learned.lost_templates}
