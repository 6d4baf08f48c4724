"""Which sentences a command could be, found in a fraction of the time that it takes to match them."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from hassil import IntentData, Intents, Sentence
from hassil.intents import Intent
from hassil.util import normalize_for_matching

from router_worker.intents.pieces import ANYTHING, Pieces, words

_REMEMBERED: Final = 4_096
"""Words for which it is known in which sentences they can be."""


class Heard:
    """A command in lower case, as hassil sees it; `words` is None where letters may be equal to others."""

    def __init__(self, command: str) -> None:
        self.text = normalize_for_matching(command).text.casefold()
        self.words = words(self.text) if command.isascii() else None


class Sieve:
    """Leaves of some intents what a command could be, and surely all of that: what is recognised stays the same.

    Every letter of a command is matched by a literal, a value of a list or a number in words, or taken by a wildcard.
    So a sentence without wildcards is none to which a word of the command cannot be put together from its pieces; and
    with or without them, what it requires literally must be there.
    """

    def __init__(self, intents: Intents) -> None:
        """Read every sentence; ValueError for intents that are matched in another way than ours."""
        if intents.skip_words or intents.settings.ignore_whitespace:
            raise ValueError("words that are skipped, and spaces that are ignored, are not known here")
        self._intents = intents
        self._where: list[tuple[str, int]] = []
        self._required: list[frozenset[frozenset[str]]] = []
        self._with_piece: defaultdict[str, int] = defaultdict(int)
        pieces = Pieces(intents.expansion_rules, intents.slot_lists, intents.language)
        for name, intent in intents.intents.items():
            for number, block in enumerate(intent.data):
                for sentence in block.sentences:
                    self._add(name, number, block, sentence, pieces)
        self._all = (1 << len(self._where)) - 1
        self._open = self._with_piece.pop(ANYTHING, 0)
        self._longest = max(map(len, self._with_piece), default=0)
        self._with_word = lru_cache(_REMEMBERED)(self._put_together)

    def sift(self, heard: Heard) -> Intents | None:
        """The intents, with those blocks of sentences that a command could be among; None when there are none."""
        if heard.words is None:
            return self._intents
        could = self._all
        for word in heard.words:
            could &= self._with_word(word) | self._open
        left: dict[str, set[int]] = {}
        while could:
            index = could.bit_length() - 1
            could ^= 1 << index
            name, block = self._where[index]
            if block not in left.get(name, ()) and self._has_literals(heard.text, index):
                left.setdefault(name, set()).add(block)
        return self._only(left) if left else None

    def _has_literals(self, text: str, index: int) -> bool:
        return all(any(literal in text for literal in clause) for clause in self._required[index])

    def _only(self, left: Mapping[str, set[int]]) -> Intents:
        """The intents with these blocks, in their order."""
        intents = {
            name: Intent(name, [block for number, block in enumerate(intent.data) if number in left[name]])
            for name, intent in self._intents.intents.items()
            if name in left
        }
        return replace(self._intents, intents=intents)

    def _put_together(self, word: str) -> int:
        """The sentences, as bits, that have a word in one piece or in several (`timer` and `s`)."""
        up_to = [self._all] + [0] * len(word)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - self._longest), end):
                if up_to[start]:
                    up_to[end] |= up_to[start] & self._with_piece.get(word[start:end], 0)
        return up_to[-1]

    def _add(self, name: str, number: int, block: IntentData, sentence: Sentence, pieces: Pieces) -> None:
        rules = {**self._intents.expansion_rules, **block.expansion_rules}
        if block.expansion_rules or block.slot_lists:
            pieces = Pieces(rules, {**self._intents.slot_lists, **block.slot_lists}, self._intents.language)
        bit = 1 << len(self._where)
        self._where.append((name, number))
        self._required.append(sentence.get_required_clauses(rules))
        for piece in pieces.of(sentence.expression):
            self._with_piece[piece] |= bit
