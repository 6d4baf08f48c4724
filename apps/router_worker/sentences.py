"""From a stream of text to the sentences that are spoken one after the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_SPACE = re.compile(r"\s+")
_WIDE = "\u3002\uff01\uff1f"
_END = re.compile(rf"\n|[.!?;:…]+|[{_WIDE}]+")
_OPENERS = '([{"“\u2018«*_`'
_CLOSERS = re.compile(r"[\"'”\u2019»)\]}*_`]*")
_CLAUSE = re.compile(r"[,\u2013\u2014)] ")
_DOTTED = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
_ABBREVIATIONS = frozenset(
    {
        *("capt", "col", "dr", "gen", "gov", "hon", "jr", "lt", "messrs", "mr", "mrs", "ms", "prof", "rep", "rev"),
        *("sen", "sgt", "sr", "st", "ave", "blvd", "mt", "co", "corp", "inc", "ltd", "dept", "est"),
        *("jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
        *("approx", "cf", "max", "min", "vs"),
    }
)
_BEFORE_NUMBERS = frozenset({"art", "ch", "fig", "no", "nos", "nr", "p", "pp", "vol"})
_HALVES_OF_DAY = frozenset({"a.m", "p.m"})


@dataclass(frozen=True)
class Lengths:
    """How long a sentence may be, in characters."""

    first: int = 2
    """At least, for the first sentence: it should be heard soon."""
    least: int = 60
    """At least, for the others: short ones are spoken together with the next."""
    most: int = 240
    """At most, if there is a space to end it at."""
    hard: int = 2000
    """At most, come what may."""

    def __post_init__(self) -> None:
        if not 1 <= self.first <= self.least <= self.most <= self.hard:
            raise ValueError("lengths of sentences must not decrease from first to hard")


class SentenceSplitter:
    """Cuts a text that arrives in pieces into sentences, the same ones however it is cut into pieces.

    The sentences hold every character of the text once, except for white space.
    """

    def __init__(self, lengths: Lengths | None = None) -> None:
        self._lengths = lengths or Lengths()
        self._text = ""
        self._is_first = True

    def feed(self, delta: str) -> list[str]:
        """The sentences that this piece completes."""
        self._append(delta)
        return list(self._sentences(ended=False))

    def flush(self) -> list[str]:
        """What is left, now that the text has ended; the splitter is then as new."""
        rest = list(self._sentences(ended=True))
        self._text, self._is_first = "", True
        return rest

    def _append(self, delta: str) -> None:
        text = self._text
        kept = text.rstrip()
        joined = text[len(kept) :] + delta
        self._text = kept + _SPACE.sub(lambda gap: "\n" if "\n" in gap[0] else " ", joined)
        if not kept:
            self._text = self._text.lstrip()

    def _sentences(self, *, ended: bool) -> Iterator[str]:
        while self._text and (cut := self._cut(ended=ended)) is not None:
            sentence, self._text = self._text[:cut].strip(), self._text[cut:].lstrip()
            if sentence:
                self._is_first = False
                yield sentence

    def _cut(self, *, ended: bool) -> int | None:
        """Where the first sentence ends; None while what follows could change that."""
        text, lengths = self._text, self._lengths
        least = lengths.first if self._is_first else lengths.least
        shorter: int | None = None
        for end, is_strong in _ends(text, ended=ended):
            if end > lengths.most:
                break
            if end >= (least if is_strong else lengths.least):
                return end
            if is_strong:
                shorter = end
        # Two characters past an end decide whether it is one.
        if len(text) >= lengths.most + 2 or (ended and len(text) > lengths.most):
            return shorter or self._cut_long(ended=ended)
        return len(text) if ended else None

    def _cut_long(self, *, ended: bool) -> int | None:
        text, lengths = self._text, self._lengths
        clauses = [found.end() for found in _CLAUSE.finditer(text, lengths.least, lengths.most)]
        if clauses:
            return clauses[-1]
        space = max(text.rfind(" ", 0, lengths.most), text.rfind("\n", 0, lengths.most))
        if space > 0:
            return space
        gap = _SPACE.search(text, lengths.most, lengths.hard)
        if gap:
            return gap.start()
        if len(text) >= lengths.hard:
            return lengths.hard
        return len(text) if ended else None


def _ends(text: str, *, ended: bool) -> Iterator[tuple[int, bool]]:
    """The places where a sentence ends, and whether it surely does; stops where more text is needed to know."""
    position = 0
    while found := _END.search(text, position):
        closers = _CLOSERS.match(text, found.end())
        end = position = closers.end() if closers else found.end()
        if found[0] == "\n":
            position = found.end()
            yield position, True
        elif end >= len(text):
            if ended:
                yield end, True
            return
        elif found[0][0] in _WIDE or text[end] == "\n":
            yield end, True
        elif text[end] == " ":
            if end + 1 >= len(text):
                return
            if _is_end(text, found.start(), found[0], text[end + 1]):
                yield end, not _is_weak(found[0])


def _is_end(text: str, start: int, marks: str, following: str) -> bool:
    """Whether marks before a space end a sentence, by the word before them and the character after the space."""
    if _is_weak(marks):
        return True
    if following.islower():
        return False
    word_start = max(text.rfind(" ", 0, start), text.rfind("\n", 0, start)) + 1
    word = text[word_start:start].lstrip(_OPENERS).casefold()
    if marks != "." or not word or word in _HALVES_OF_DAY:
        return True
    if word in _ABBREVIATIONS or _DOTTED.fullmatch(word):
        return False
    if word in _BEFORE_NUMBERS:
        return not following.isdigit()
    return not (word.isdigit() and _is_first_word(text, word_start))


def _is_weak(marks: str) -> bool:
    return set(marks) <= {";", ":"}


def _is_first_word(text: str, start: int) -> bool:
    before = text[:start].rstrip(" ")
    return not before or before[-1] in "\n.!?;:"
