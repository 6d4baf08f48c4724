"""How the words of a grammar sound: from the dictionary, else put together from what it holds, else guessed."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Self

from stt_worker.grammar.labels import spoken
from stt_worker.grammar.letters import guess
from stt_worker.grammar.numbers import spellings

_BREAKS = re.compile(r"[-_. ]+|(?<=[0-9])(?=[a-z])|(?<=[a-z])(?=[0-9])")
_PREFIXES = {"un": "AH N", "re": "R IY"}
_SIGNS = {"&": "and", "+": "plus"}
_SHORTEST_PART = 3
_LONGEST_WORD = 40
_VOWELS = frozenset("aeiouy")
_HISSING = ("S", "Z", "SH", "ZH", "CH", "JH")
_VOICELESS = ("P", "T", "K", "F", "TH")


class Pronouncer:
    """Gives pronunciations (ARPAbet, a space between sounds) from the lines of a cmudict that its words need."""

    def __init__(self, entries: dict[str, list[str]], language: str) -> None:
        self._entries = entries
        self._language = language

    @classmethod
    def reading(cls, dictionary: Path, words: Iterable[str], language: str) -> Self:
        """Keeps the entries for the words and for what they may be made of; the rest never stays in memory."""
        wanted = {piece for word in words for piece in _pieces(word, language)} | set("abcdefghijklmnopqrstuvwxyz")
        entries: dict[str, list[str]] = {}
        with dictionary.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                word, _, sounds = line.partition(" ")
                word = word.partition("(")[0]
                if word in wanted:
                    entries.setdefault(word, []).append(sounds.strip())
        return cls(entries, language)

    def pronounce(self, word: str) -> tuple[str, ...]:
        """The ways to say a word, the usual one first; none if it holds no letter and no digit."""
        plain = _plain(word)
        if plain in self._entries:
            return tuple(dict.fromkeys(self._entries[plain]))
        parts = [self._part(part) for part in _parts(plain, self._language)]
        return (" ".join(parts),) if parts and all(parts) else ()

    def _part(self, word: str) -> str:
        return (
            self._known(word)
            or self._inflected(word)
            or self._spelled(word)
            or self._compound(word)
            or guess("".join(letter for letter in word if letter.isascii() and letter.isalpha()))
        )

    def _known(self, word: str) -> str:
        return next(iter(self._entries.get(word, ())), "")

    def _inflected(self, word: str) -> str:
        """A known word with a plural or possessive s."""
        for ending in ("'s", "s'", "es", "s"):
            stem = self._known(word.removesuffix(ending)) if word.endswith(ending) else ""
            if stem:
                last = stem.split()[-1]
                return f"{stem} {'IH Z' if last in _HISSING else 'S' if last in _VOICELESS else 'Z'}"
        return ""

    def _spelled(self, word: str) -> str:
        """Letter by letter, what has no vowel: nvme, hdtv."""
        if _VOWELS.intersection(word) or not word.isalpha():
            return ""
        return " ".join(filter(None, map(self._known, word)))

    def _compound(self, word: str) -> str:
        """The fewest known words that make up the word, the longest of them first."""
        for prefix, sounds in _PREFIXES.items():
            stem = self._known(word.removeprefix(prefix)) if word.startswith(prefix) else ""
            if stem:
                return f"{sounds} {stem}"

        @cache
        def split(rest: str) -> tuple[str, ...] | None:
            if not rest:
                return ()
            found = None
            for size in range(len(rest), _SHORTEST_PART - 1, -1):
                after = split(rest[size:]) if self._known(rest[:size]) else None
                if after is not None and (found is None or len(after) + 1 < len(found)):
                    found = (rest[:size], *after)
            return found

        return " ".join(self._known(part) for part in split(word) or ())


def _plain(label: str) -> str:
    """The spoken side of a label, in lower case and without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", spoken(label).casefold()) if not unicodedata.combining(c))


def _parts(plain: str, language: str) -> Iterator[str]:
    for part in _BREAKS.split("".join(f" {_SIGNS[c]} " if c in _SIGNS else c for c in plain)):
        if part.isascii() and part.isdigit():
            yield from next(spellings(int(part), language))
        elif part:
            yield part


def _pieces(label: str, language: str) -> Iterator[str]:
    """Every entry that may help with a label: itself, its parts, and what these are made of."""
    plain = _plain(label)
    yield plain
    for part in _parts(plain, language):
        for start in range(min(len(part), _LONGEST_WORD)):
            for end in range(start + 1, min(len(part), _LONGEST_WORD) + 1):
                yield part[start:end]
