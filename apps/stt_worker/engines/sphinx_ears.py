"""PocketSphinx as two kinds of ears: those that know the sentences of a grammar, and those that know English at large.

Each recording is heard as a whole, so that next to nothing of the one before it has a part in it.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from stt_worker.engines import Samples
from stt_worker.engines.belief import BELIEVED, Word, confidence
from stt_worker.grammar.grammar import Grammar
from stt_worker.grammar.labels import written

SEARCH: Final = "grammar"
ANY_SOUNDS: Final = "sounds"
NO_SPEECH: Final = frozenset({"SIL", "+NSN+"})
SCORE_SCALE: Final = 1024
"""PocketSphinx hands out the likelihoods of states shifted right by ten bits."""

# Measured: likely silences and a light grammar find 30 of 34 commands, the defaults 14; `bestpath` would leave the
# grammar; `compallsen` makes the likelihoods of different recordings comparable; two Gaussians do as well as four, and
# with a bound on states noise takes no longer than speech.
FOR_GRAMMARS: Final = {
    "lm": None,
    "dict": None,
    "silprob": 0.5,
    "lw": 3.0,
    "bestpath": False,
    "compallsen": True,
    "topn": 2,
    "maxhmmpf": 6000,
}
# Measured on 81 s of reading: 26 % of the words wrong at a sixth of real time; with the defaults 21 % at 0.43.
FOR_DICTATION: Final = {"fwdflat": False, "maxhmmpf": 3000, "maxwpf": 10}


class Heard(NamedTuple):
    """What was made of a recording."""

    text: str
    confidence: float
    """0 to 1."""
    is_complete: bool
    """Whether the text is a whole sentence that was really said."""


class Ears(Protocol):
    """One way to hear."""

    mode: str
    believes_from: float
    """The least confidence with which a text counts as said."""

    def hear(self, audio: Samples, *, is_over: bool) -> Heard:
        """The likeliest words of the recording; of its beginning, if it is not over."""


class GrammarEars:
    """Hear the sentences of one grammar, and nothing else."""

    mode = "grammar"
    believes_from = BELIEVED

    def __init__(self, grammar: Grammar) -> None:
        self._decoder = _decoder(**FOR_GRAMMARS)
        self._grammar = grammar
        self._sounds: dict[str, int] = {}
        for label, ways in grammar.pronunciations.items():
            for number, sounds in enumerate(ways, start=1):
                name = label if number == 1 else f"{label}({number})"
                self._decoder.add_word(name, sounds, False)
                self._sounds[name] = len(sounds.split())
        final = max((max(state, to) for state, to, _ in grammar.arcs), default=0) + 1
        ends = [(state, final, 1.0) for state in sorted(grammar.finals)]
        search = self._decoder.create_fsg(SEARCH, 0, final, [*_transitions(grammar), *ends])
        self._decoder.add_fsg(SEARCH, search)
        self._decoder.add_allphone_file(ANY_SOUNDS, None)
        self._decoder.activate_search(SEARCH)

    def hear(self, audio: Samples, *, is_over: bool) -> Heard:
        """The likeliest sentence, or the likeliest beginning of one."""
        sentence = [s for s in _segments(self._decoder, audio, is_over=is_over) if s.word in self._sounds]
        text = " ".join(written(_label(segment)) for segment in sentence)
        believed = confidence(*self._compared(sentence, audio)) if sentence else 0.0
        return Heard(text, believed, is_complete=believed >= BELIEVED and self._grammar.accepts(text))

    def _compared(self, sentence: list[Any], audio: Samples) -> tuple[list[Word], int]:
        """The words against a free choice of sounds, and how many frames of speech are outside of them."""
        self._decoder.activate_search(ANY_SOUNDS)
        try:
            heard = _segments(self._decoder, audio, is_over=True)
        finally:
            self._decoder.activate_search(SEARCH)
        free = np.zeros(1 + max(segment.end_frame for segment in (*sentence, *heard)))
        is_speech = np.zeros(free.size, bool)
        for segment in heard:
            free[_frames(segment)] = _log_likelihood(segment) / max(_length(segment), 1)
            is_speech[_frames(segment)] = segment.word not in NO_SPEECH
        for segment in sentence:
            is_speech[_frames(segment)] = False
        words = [
            Word(
                label=_label(segment),
                frames=_length(segment),
                sounds=self._sounds[segment.word],
                log_likelihood=_log_likelihood(segment) - float(free[_frames(segment)].sum()),
            )
            for segment in sentence
        ]
        return words, int(is_speech.sum())


class DictationEars:
    """Hear any English words, one of four wrong; 80 MB."""

    mode = "dictation"
    believes_from = 0.4

    def __init__(self) -> None:
        self._decoder = _decoder(**FOR_DICTATION)

    def hear(self, audio: Samples, *, is_over: bool) -> Heard:
        """The likeliest words; where they end is for others to say."""
        words = [
            segment for segment in _segments(self._decoder, audio, is_over=is_over) if segment.word[0] not in "<[("
        ]
        text = " ".join(_label(segment) for segment in words)
        probability = fmean(segment.prob for segment in words) if words else 0.0
        return Heard(text, min(max(probability, 0.0), 1.0), is_complete=False)


def _label(segment: Any) -> str:
    return str(segment.word).partition("(")[0]


def _length(segment: Any) -> int:
    return int(segment.end_frame) - int(segment.start_frame) + 1


def _frames(segment: Any) -> slice:
    return slice(segment.start_frame, segment.end_frame + 1)


def _log_likelihood(segment: Any) -> float:
    return SCORE_SCALE * math.log(max(segment.ascore, math.ulp(0.0)))


def _decoder(**options: Any) -> Any:
    # Only the process that recognises pays for the library.
    from pocketsphinx import Config, Decoder, set_loglevel  # noqa: PLC0415

    set_loglevel("FATAL")
    return Decoder(Config(loglevel="FATAL", **options))


def _transitions(grammar: Grammar) -> Iterator[tuple[int, int, float, str]]:
    """The arcs with equal probabilities, without words that sound just like another one in the same place."""
    places: dict[tuple[int, int], list[str]] = {}
    for state, to, label in grammar.arcs:
        places.setdefault((state, to), []).append(label)
    kept = {place: list(_distinct(labels, grammar.pronunciations)) for place, labels in places.items()}
    branches = Counter(state for (state, _), labels in kept.items() for _ in labels)
    for (state, to), labels in kept.items():
        for label in labels:
            yield state, to, 1 / branches[state], label


def _distinct(labels: list[str], pronunciations: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    """The labels that can be said in a way of their own; "what's" stays, not "whats"."""
    said: set[str] = set()
    for label in sorted(labels, key=lambda label: (-len(pronunciations[label]), label)):
        if not said.issuperset(pronunciations[label]):
            said.update(pronunciations[label])
            yield label


def _segments(decoder: Any, audio: Samples, *, is_over: bool) -> list[Any]:
    decoder.start_utt()
    try:
        # Search it, and normalise it as a whole.
        decoder.process_raw(audio.tobytes(), False, True)
        so_far = [] if is_over else list(decoder.seg() or ())
    finally:
        decoder.end_utt()
    return list(decoder.seg() or ()) if is_over else so_far
