"""The embedded engine: PocketSphinx with a grammar of the sentences that the assistant knows.

It is good at those sentences and knows when none of them was said. Without a vocabulary it takes dictation, poorly,
and says so in its metrics.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from stt_worker.engines import SAMPLE_RATE, Learned, Partial, Samples, Transcription
from stt_worker.engines.errors import BadAudio, BadWords, EngineUnavailable, LanguageUnknown
from stt_worker.engines.silence import in_a_room, spoken, windows, without_silence
from stt_worker.engines.sphinx_ears import DictationEars, Ears, GrammarEars, Heard
from stt_worker.grammar.cache import GrammarCache
from stt_worker.grammar.errors import VocabularyError
from stt_worker.grammar.grammar import Grammar

LANGUAGE: Final = "en"
WINDOW_S: Final = 30.0
"""Longer recordings are heard in parts, so that memory is bounded."""
MISSING: Final = "PocketSphinx is not installed: pip install 'mynah[stt]'."


@dataclass(frozen=True)
class SphinxSettings:
    """Where compiled grammars are kept."""

    cache: Path


class Sphinx:
    """Understands a vocabulary; PocketSphinx holds the interpreter's lock, so host it in a process of its own."""

    name: Final = "sphinx"

    def __init__(self, settings: SphinxSettings) -> None:
        self._settings = settings
        self._ears: Ears | None = None
        self._sentence: tuple[Samples, Heard] | None = None

    def open(self) -> Self:
        """Raises EngineUnavailable; loads nothing before it is known what is needed."""
        dictionary()
        return self

    def learn(self, intents: Mapping[str, Any] | None) -> Learned:
        """Expect these sentences from now on; anything if there are none.

        Raises BadWords and LanguageUnknown; what was learned before stays then.
        """
        grammar = _compiled(intents, self._settings.cache) if intents else None
        self._sentence = None
        if grammar is None or not grammar.finals:
            self._ears = None
            return Learned(DictationEars.mode, words=0, templates=0, lost_templates=0, dropped={})
        _check_language(grammar.language)
        self._ears = GrammarEars(grammar)
        return Learned(
            mode=self._ears.mode,
            words=len(grammar.pronunciations),
            templates=grammar.templates,
            lost_templates=grammar.lost_templates,
            dropped=grammar.dropped,
        )

    def transcribe(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Transcription:
        """What was said, or "" if it was not understood; raises BadAudio and LanguageUnknown."""
        _check(audio, sample_rate, language)
        began = time.perf_counter()
        ears = self._listening()
        known = self._known(audio)
        heard = known or [
            ears.hear(in_a_room(part), is_over=True) for part in windows(without_silence(audio), WINDOW_S)
        ]
        said = [part for part in heard if part.text and part.confidence >= ears.believes_from]
        return Transcription(
            text=" ".join(part.text for part in said),
            confidence=min((part.confidence for part in said or heard), default=0.0),
            metrics={
                "engine": self.name,
                "mode": ears.mode,
                "language": LANGUAGE,
                "guess": " ".join(part.text for part in heard if part.text),
                "audio_s": audio.size / SAMPLE_RATE,
                "reused": len(known),
                "ms": 1000 * (time.perf_counter() - began),
            },
        )

    def partial(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Partial:
        """What has been said so far; raises as `transcribe` does."""
        _check(audio, sample_rate, language)
        ears = self._listening()
        parts = list(windows(without_silence(audio), WINDOW_S))
        heard = [ears.hear(in_a_room(part), is_over=part is not parts[-1]) for part in parts]
        said = [part for part in heard if part.text and part.confidence >= ears.believes_from]
        is_complete = len(heard) == 1 and heard[0].is_complete
        self._sentence = (audio, heard[0]) if is_complete else None
        return Partial(" ".join(part.text for part in said), is_complete=is_complete)

    def _known(self, audio: Samples) -> list[Heard]:
        """The whole sentence that was heard in the beginning of the recording, if only silence has followed it."""
        if self._sentence is None:
            return []
        beginning, heard = self._sentence
        is_same = np.array_equal(audio[: beginning.size], beginning)
        return [heard] if is_same and spoken(audio).stop <= beginning.size else []

    def _listening(self) -> Ears:
        if self._ears is None:
            self._ears = DictationEars()
        return self._ears


def dictionary() -> Path:
    """The pronunciations that PocketSphinx ships; raises EngineUnavailable. Does not import it."""
    found = find_spec("pocketsphinx")
    if found is None or not found.submodule_search_locations:
        raise EngineUnavailable(MISSING)
    return Path(found.submodule_search_locations[0]) / "model/en-us/cmudict-en-us.dict"


def _compiled(intents: Mapping[str, Any], cache: Path) -> Grammar:
    def compiled() -> Grammar:
        # hassil is needed only where the grammar is new.
        from stt_worker.grammar.compiler import compile_grammar  # noqa: PLC0415

        return compile_grammar(intents, dictionary())

    try:
        return GrammarCache(cache).grammar(intents, compiled)
    except (VocabularyError, TypeError, KeyError, ValueError, AttributeError) as error:  # it may be anything
        raise BadWords(f"No grammar can be made of the vocabulary: {error!r}") from error


def _check(audio: Samples, sample_rate: int, language: str | None) -> None:
    if sample_rate != SAMPLE_RATE or audio.dtype != np.int16 or audio.ndim != 1:
        raise BadAudio(f"sphinx hears 16 kHz mono 16-bit samples, not {sample_rate} Hz {audio.dtype} {audio.shape}.")
    if language:
        _check_language(language)


def _check_language(language: str) -> None:
    if language.lower().partition("-")[0] != LANGUAGE:
        raise LanguageUnknown(f"sphinx understands English only, not {language!r}; whisper understands many languages.")
