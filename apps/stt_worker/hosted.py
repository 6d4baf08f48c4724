"""What runs in the recogniser's own process: one engine, kept from call to call."""

import json
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from stt_worker.engines import Samples, SpeechTranscriber
from stt_worker.engines.choice import choose

NOISE: Final = 0.006
"""Of the loudest sample."""
SILENCE: Final = 4_000
"""Samples on either side."""


def prepare(payload: Mapping[str, Any]) -> dict[str, Any]:
    """Load the engine and have it learn the vocabulary, so that the first recording does not wait for it."""
    choice = choose(payload["engine"], Path(payload["cache"]))
    learned = _learned(payload["engine"], payload["cache"], payload["vocabulary"])
    return {"engine": choice.name, "why": choice.why, **learned}


def transcribe(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The words in a recording."""
    heard = _ready(payload).transcribe(in_a_room(payload["samples"]), language=payload["language"])
    return {"text": heard.text, "confidence": heard.confidence, "mode": heard.metrics.get("mode", "")}


def transcribe_part(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The words in a recording that goes on."""
    heard = _ready(payload).partial(in_a_room(payload["samples"]), language=payload["language"])
    return {"text": heard.text, "complete": heard.is_complete}


def in_a_room(samples: Samples) -> Samples:
    """The recording with a little noise in and around it.

    Synthetic speech has perfect silence in it, whose cepstra are far from all that the recogniser has ever heard:
    measured, "what time is it" from eSpeak is then heard as "what are you".
    """
    if not samples.size:
        return samples
    louder = np.pad(samples.astype(np.float64), SILENCE)
    noise = np.random.default_rng(0).normal(0.0, NOISE * np.abs(louder).max(), louder.size)
    return np.clip(louder + noise, -32_768, 32_767).astype(np.int16)


def _ready(payload: Mapping[str, Any]) -> SpeechTranscriber:
    """The engine, knowing the vocabulary; also in a process that was started in the place of one that was killed."""
    _learned(payload["engine"], payload["cache"], payload["vocabulary"])
    return _opened(payload["engine"], payload["cache"])


@cache
def _opened(engine: str, folder: str) -> SpeechTranscriber:
    return choose(engine, Path(folder)).make().open()


@lru_cache(maxsize=1)
def _learned(engine: str, folder: str, vocabulary: str | None) -> dict[str, Any]:
    intents = json.loads(Path(vocabulary).read_bytes()) if vocabulary else None
    learned = _opened(engine, folder).learn(intents)
    return {"mode": learned.mode, "words": learned.words, "lost": learned.lost_templates}
