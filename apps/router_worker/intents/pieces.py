"""The pieces of words that a sentence can be matched with."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from hassil import (
    Expression,
    Group,
    ListReference,
    RangeSlotList,
    RuleReference,
    Sentence,
    SlotList,
    TextChunk,
    TextSlotList,
)
from unicode_rbnf import RbnfEngine

ANYTHING: Final = "*"
"""Stands for every piece there is: a wildcard, or letters that are equal to others."""

_WORD: Final = re.compile(r"[^\W\d_]+")


def words(text: str) -> frozenset[str]:
    """The runs of letters in a text."""
    return frozenset(_WORD.findall(text))


class Pieces:
    """Reads sentences that share rules and lists; each of those once."""

    def __init__(self, rules: Mapping[str, Sentence], lists: Mapping[str, SlotList], language: str) -> None:
        self._rules = rules
        self._lists = lists
        self._language = language
        self._by_rule: dict[str, frozenset[str]] = {}
        self._by_list: dict[str, frozenset[str]] = {}

    def of(self, expression: Expression) -> frozenset[str]:
        """The pieces of an expression: runs of letters in lower case, or ANYTHING."""
        match expression:
            case TextChunk():
                return _of_text(expression.text)
            case Group():
                return frozenset[str]().union(*map(self.of, expression.items))
            case RuleReference():
                name = expression.rule_name
                if name not in self._by_rule:
                    self._by_rule[name] = self.of(self._rules[name].expression)
                return self._by_rule[name]
            case ListReference():
                name = expression.list_name
                if name not in self._by_list:
                    self._by_list[name] = self._of_list(self._lists.get(name))
                return self._by_list[name]
        return frozenset({ANYTHING})

    def _of_list(self, values: SlotList | None) -> frozenset[str]:
        if isinstance(values, TextSlotList):
            return frozenset[str]().union(*(self.of(value.text_in) for value in values.values))
        if isinstance(values, RangeSlotList):
            language = values.words_language or self._language
            return frozenset[str]().union(*(_of_number(number, language) for number in values.get_numbers()))
        return frozenset({ANYTHING})


def _of_text(text: str) -> frozenset[str]:
    return words(text.casefold()) if text.isascii() else frozenset({ANYTHING})


@cache
def _of_number(number: float, language: str) -> frozenset[str]:
    """What a number has in words, in every way that hassil knows to say it."""
    said = _engine(language).format_number(number).text_by_ruleset.values()
    return frozenset[str]().union(*map(_of_text, said))


@cache
def _engine(language: str) -> RbnfEngine:
    return RbnfEngine.for_language(language)
