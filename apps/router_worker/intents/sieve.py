"""Which sentences a command could be, found in a fraction of the time that it takes to match them."""

import re
from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import lru_cache
from typing import Final

from hassil import IntentData, Intents, Sentence
from hassil.intents import Intent
from hassil.util import normalize_for_matching

from router_worker.intents.pieces import ANYTHING, Pieces, words

_PLAIN: Final = re.compile(r"[a-z0-9']+(?: [a-z0-9']+)*")
_REMEMBERED: Final = 4_096
"""Words for which it is known in which sentences they can be."""


class Heard:
    """A command in lower case, as hassil sees it; `words` is None where letters may be equal to others."""

    def __init__(self, command: str) -> None:
        # Normalised it is the same, and that costs more than all that is done here.
        is_plain = _PLAIN.fullmatch(command) is not None
        self.text = command if is_plain else normalize_for_matching(command).text.casefold()
        self.words = words(self.text) if command.isascii() else None


class Sieve:
    """Leaves of sets of intents what a command could be, and surely all of that: what is recognised stays the same.

    Every letter of a command is matched by a literal, a value of a list or a number in words, or taken by a wildcard.
    So a sentence without wildcards is none to which a word of the command cannot be put together from its pieces; and
    with or without them, what it requires literally must be there.
    """

    def __init__(self, *sets: Intents) -> None:
        """Read every sentence; ValueError for intents that are matched in another way than ours."""
        self._sets = sets
        self._where: list[tuple[int, str, int]] = []
        self._required: list[list[frozenset[str]]] = []
        self._requiring: defaultdict[frozenset[str], int] = defaultdict(int)
        self._with_piece: defaultdict[str, int] = defaultdict(int)
        for which, intents in enumerate(sets):
            if intents.skip_words or intents.settings.ignore_whitespace:
                raise ValueError("words that are skipped, and spaces that are ignored, are not known here")
            pieces = Pieces(intents.expansion_rules, intents.slot_lists, intents.language)
            for name, intent in intents.intents.items():
                for number, block in enumerate(intent.data):
                    for sentence in block.sentences:
                        self._add((which, name, number), intents, block, sentence, pieces)
        self._all = (1 << len(self._where)) - 1
        self._open = self._with_piece.pop(ANYTHING, 0)
        self._longest = max(map(len, self._with_piece), default=0)
        self._with_word = lru_cache(_REMEMBERED)(self._put_together)

    def sift(self, heard: Heard) -> tuple[Intents | None, ...]:
        """Of each set, those blocks of sentences that a command could be among; None where there are none."""
        if heard.words is None:
            return self._sets
        could = self._all
        for word in heard.words:
            could &= self._with_word(word) | self._open
        left = set[tuple[int, str, int]]()
        while could:
            index = could.bit_length() - 1
            lacking = self._lacking(heard.text, index)
            could &= ~(lacking or 1 << index)
            if not lacking:
                left.add(self._where[index])
        return tuple(_only(intents, which, left) for which, intents in enumerate(self._sets))

    def _lacking(self, text: str, index: int) -> int:
        """The sentences, as bits, that require the same literal that a text lacks as this one; 0 when it lacks none."""
        for clause in self._required[index]:
            for literal in clause:
                if literal in text:
                    break
            else:
                return self._requiring[clause]
        return 0

    def _put_together(self, word: str) -> int:
        """The sentences, as bits, that have a word in one piece or in several (`timer` and `s`)."""
        up_to = [self._all] + [0] * len(word)
        for end in range(1, len(word) + 1):
            for start in range(max(0, end - self._longest), end):
                if up_to[start]:
                    up_to[end] |= up_to[start] & self._with_piece.get(word[start:end], 0)
        return up_to[-1]

    def _add(
        self, where: tuple[int, str, int], intents: Intents, block: IntentData, sentence: Sentence, pieces: Pieces
    ) -> None:
        rules = {**intents.expansion_rules, **block.expansion_rules}
        if block.expansion_rules or block.slot_lists:
            pieces = Pieces(rules, {**intents.slot_lists, **block.slot_lists}, intents.language)
        bit = 1 << len(self._where)
        self._where.append(where)
        # The clause that most texts lack comes first.
        self._required.append(sorted(sentence.get_required_clauses(rules), key=_commonness))
        for clause in self._required[-1]:
            self._requiring[clause] |= bit
        for piece in pieces.of(sentence.expression):
            self._with_piece[piece] |= bit


def _commonness(clause: AbstractSet[str]) -> tuple[int, int]:
    return len(clause), -min(map(len, clause))


def _only(intents: Intents, which: int, left: AbstractSet[tuple[int, str, int]]) -> Intents | None:
    """The intents with the blocks that are left of this set, in their order."""
    names = dict.fromkeys(name for each, name, _ in left if each == which)
    if not names:
        return None
    chosen = {
        name: Intent(name, [block for number, block in enumerate(intent.data) if (which, name, number) in left])
        for name, intent in intents.intents.items()
        if name in names
    }
    return replace(intents, intents=chosen)
