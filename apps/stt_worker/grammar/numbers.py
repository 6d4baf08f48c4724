"""Numbers as people say them, written so that hassil reads them back.

hassil knows "one hundred five" only; people say "a hundred and five" as well.
"""

from collections.abc import Iterator

from hassil.numbers import get_rbnf_engine

from stt_worker.grammar.labels import JOINED, SAID_AS

_SCALES = ("hundred", "thousand", "million")


def number_labels(number: float, language: str, *, in_words: bool) -> Iterator[str]:
    """Every way to say the number, as labels with a space between; written in digits unless `in_words`."""
    for words in spellings(number, language):
        if in_words:
            yield " ".join(words)
            yield from map(" ".join, _casual(words))
        else:
            yield f"{number}{SAID_AS}{JOINED.join(words)}"


def spellings(number: float, language: str) -> Iterator[list[str]]:
    """The number's words, once for each form that the language has."""
    texts = get_rbnf_engine(language).format_number(number).text_by_ruleset.values()
    for text in dict.fromkeys(text.replace("-", " ") for text in texts):
        yield text.split()


def _casual(words: list[str]) -> Iterator[list[str]]:
    """The English words with "a" for a leading "one", with "and" after the last hundred or thousand, or both."""
    scales = [place for place, word in enumerate(words) if word in _SCALES]
    with_and = list(words)
    if scales and scales[-1] + 1 < len(words):
        scale = words[scales[-1]]
        with_and[scales[-1]] = f"{scale}{SAID_AS}{scale}{JOINED}and"
        yield with_and
    if scales and words[0] == "one" and scales[0] == 1:
        for form in (words, with_and):
            yield [f"one{SAID_AS}a", *form[1:]]
