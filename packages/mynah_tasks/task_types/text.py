"""text_analysis: what a text is about, how it feels, in which language and how hard it is to read."""

import re
from collections import Counter

from pydantic import Field

from mynah_tasks.task_types.typed import Payload, typed
from mynah_tasks.task_types.words import STOP_WORDS, feelings, words_of

LONGEST_TEXT = 1_000_000
SENTENCE_END = re.compile(r"[.!?…]+(?=\s|$)")
VOWELS = re.compile(r"[aeiouyäöüáéíóúàèâêîôû]+")
SHORTEST_KEYWORD = 3
PLEASANT, UNPLEASANT = frozenset({"happy", "excited", "calm"}), frozenset({"angry", "fearful", "sad"})


class TextAnalysis(Payload):
    """A text to look at."""

    text: str = Field(max_length=LONGEST_TEXT)
    language: str | None = None
    """Two letters; guessed when left out."""
    keywords: int = Field(default=10, ge=0, le=1000)


class TextFindings(Payload):
    """What was found."""

    characters: int
    words: int
    sentences: int
    language: str | None
    """None when too few little words give it away; one of en, de, fr, es."""
    keywords: tuple[tuple[str, int], ...]
    """The most frequent words that mean something, with how often they occur."""
    sentiment: float
    """-1 to 1, by English words; 0 when none of them is known."""
    reading_ease: float | None
    """Flesch's figure for English, 0 hard to 100 easy; None for other languages or no words."""


@typed
def analyse(request: TextAnalysis) -> TextFindings:
    """Count and compare; nothing is understood."""
    words = words_of(request.text)
    language = request.language or guess_language(words)
    sentences = max(len(SENTENCE_END.findall(request.text.strip())), 1) if words else 0
    return TextFindings(
        characters=len(request.text),
        words=len(words),
        sentences=sentences,
        language=language,
        keywords=tuple(_keywords(words, language).most_common(request.keywords)),
        sentiment=_sentiment(words),
        reading_ease=_reading_ease(words, sentences) if words and language == "en" else None,
    )


def guess_language(words: list[str]) -> str | None:
    """The language whose little words are most frequent; None when none stands out."""
    hits = Counter({language: sum(word in known for word in words) for language, known in STOP_WORDS.items()})
    (best, most), (_, second) = hits.most_common(2)
    return best if most > second else None


def _keywords(words: list[str], language: str | None) -> Counter[str]:
    ignored = STOP_WORDS.get(language or "", frozenset().union(*STOP_WORDS.values()))
    return Counter(word for word in words if len(word) >= SHORTEST_KEYWORD and word not in ignored)


def _sentiment(words: list[str]) -> float:
    found = list(feelings(words))
    total = sum(feeling.weight for feeling in found)
    signed = sum(
        feeling.weight * ((feeling.emotion in PLEASANT) - (feeling.emotion in UNPLEASANT)) for feeling in found
    )
    return signed / total if total else 0.0


def _reading_ease(words: list[str], sentences: int) -> float:
    syllables = sum(max(1, len(VOWELS.findall(word.removesuffix("e")))) for word in words)
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)
