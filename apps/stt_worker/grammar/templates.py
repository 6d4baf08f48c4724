"""From hassil's sentence templates to a word graph of all their sentences, without listing one.

What cannot be said (a wildcard, a list that is not there, a rule that calls itself) makes the sentences that need
it unsayable, and no others; each is reported once.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hassil import Intents
from hassil.expression import (
    Alternative,
    Expression,
    Group,
    ListReference,
    Permutation,
    RuleReference,
    Sentence,
    TextChunk,
)
from hassil.intents import IntentData, RangeSlotList, SlotList, TextSlotList, TextSlotValue
from hassil.parse_expression import parse_sentence
from hassil.parser import ParseError
from hassil.util import check_excluded_context, check_required_context, normalize_text

from stt_worker.grammar.dawg import END, HOLE, NOTHING, Dawg, Node
from stt_worker.grammar.errors import SentenceTooLong
from stt_worker.grammar.numbers import number_labels

UNREADABLE = (AssertionError, AttributeError, KeyError, ParseError, RecursionError, TypeError, ValueError)
"""What hassil raises on intents or templates that it cannot read."""
MOST_NUMBERS = 10_001
MOST_PERMUTED = 8
_SAYABLE = re.compile(r"[\w '.&+-]*")


@dataclass(frozen=True)
class Scope:
    """The lists and rules that a block of templates sees, and what its context asks of a value."""

    lists: Mapping[str, SlotList]
    rules: Mapping[str, Sentence]
    requires: dict[str, Any]
    excludes: dict[str, Any]
    compiled: dict[str, Node] = field(default_factory=dict)
    """By list or rule, what it may be, with a HOLE after it."""
    open_rules: set[str] = field(default_factory=set)

    def takes(self, value: TextSlotValue) -> bool:
        """Whether hassil would take this value of a list here."""
        return check_required_context(self.requires, value.context, allow_missing_keys=True) and check_excluded_context(
            self.excludes, value.context
        )


class Sentences:
    """Builds the graph of everything that can be said with the intents of one language."""

    def __init__(self, dawg: Dawg, language: str) -> None:
        self._dawg = dawg
        self._language = language
        self._ranges: dict[str, Node] = {}
        self.dropped: dict[str, str] = {}
        """By piece of template that cannot be said: why."""
        self.templates = 0
        self.lost = 0
        """How many templates have no sentence left."""

    def of(self, intents: Intents) -> Node:
        """All sentences, with up to two of the phrases that hassil skips before them and one after."""
        skipped = self._dawg.union([self._text(words, HOLE) for words in intents.skip_words])
        end = self._dawg.union((END, self._dawg.before(" ", self._dawg.fill(skipped, END))))
        blocks = [data for intent in intents.intents.values() for data in intent.data]
        sentences = self._dawg.union([self._block(data, intents, end) for data in blocks])
        for _ in range(2):
            after = self._dawg.fill(skipped, self._dawg.before(" ", sentences))
            sentences = self._dawg.union((sentences, after))
        return self._dawg.strip(sentences)

    def _block(self, data: IntentData, intents: Intents, end: Node) -> Node:
        scope = Scope(
            lists={**intents.slot_lists, **data.slot_lists},
            rules={**intents.expansion_rules, **data.expansion_rules},
            requires=data.requires_context,
            excludes=data.excludes_context,
        )
        nodes = []
        for text in data.sentence_texts:
            self.templates += 1
            try:
                node = self._compile(parse_sentence(text).expression, end, scope)
            except SentenceTooLong as error:
                node = self._drop(text, str(error))
            except UNREADABLE as error:
                node = self._drop(str(text), f"is not a template: {error!r}")
            self.lost += node == NOTHING
            nodes.append(node)
        return self._dawg.union(nodes)

    def _compile(self, expression: Expression, then: Node, scope: Scope) -> Node:
        """Everything the expression can be, followed by everything that `then` can be."""
        if then == NOTHING:
            return NOTHING
        match expression:
            case TextChunk():
                then = self._text(expression.text, then)
            case Alternative():
                then = self._dawg.union([self._compile(item, then, scope) for item in expression.items])
            case Permutation():
                then = self._permuted(expression.items, then, scope)
            case Group():
                for item in reversed(expression.items):
                    then = self._compile(item, then, scope)
            case ListReference():
                then = self._dawg.fill(self._list(expression, scope), then)
            case RuleReference():
                then = self._dawg.fill(self._rule(expression.rule_name, scope), then)
            case _:
                raise TypeError(f"hassil has a new kind of expression: {expression!r}")
        return then

    def _text(self, text: str, then: Node) -> Node:
        text = normalize_text(text).lower()
        if not _SAYABLE.fullmatch(text):
            return self._drop(text.strip(), "has a sign that nobody pronounces")
        return self._dawg.before(text, then)

    def _permuted(self, items: Sequence[Expression], then: Node, scope: Scope) -> Node:
        if len(items) > MOST_PERMUTED:
            return self._drop("a permutation", f"has more than {MOST_PERMUTED} parts")
        # What is left to say decides what may follow, not the order of what was said: 2^n nodes, not n!.
        after = {frozenset[int](): then}
        for size in range(1, len(items) + 1):
            after = {
                left: self._dawg.union([self._compile(items[i], after[left - {i}], scope) for i in left])
                for left in _subsets(len(items), size)
            }
        return after[frozenset(range(len(items)))]

    def _rule(self, name: str, scope: Scope) -> Node:
        key = f"<{name}>"
        if key not in scope.compiled:
            if name not in scope.rules:
                return self._drop(key, "is not among the expansion rules")
            if name in scope.open_rules:
                return self._drop(key, "calls itself")
            scope.open_rules.add(name)
            scope.compiled[key] = self._compile(scope.rules[name].expression, HOLE, scope)
            scope.open_rules.discard(name)
        return scope.compiled[key]

    def _list(self, reference: ListReference, scope: Scope) -> Node:
        key = f"{{{reference.list_name}}}"
        if key not in scope.compiled:
            values = scope.lists.get(reference.list_name)
            inline = reference.get_inline_range()
            if values is None and inline is not None:
                start, stop, step = inline
                values = RangeSlotList(reference.list_name, start, stop, step)
            scope.compiled[key] = self._values(key, values, scope)
        return scope.compiled[key]

    def _values(self, key: str, values: SlotList | None, scope: Scope) -> Node:
        match values:
            case TextSlotList():
                texts = [value.text_in for value in values.values if scope.takes(value)]
                return self._dawg.union([self._compile(text, HOLE, scope) for text in texts])
            case RangeSlotList() if (values.stop - values.start) // values.step < MOST_NUMBERS:
                return self._range(values)
            case RangeSlotList():
                return self._drop(key, f"has more than {MOST_NUMBERS} numbers")
            case None:
                return self._drop(key, "is not among the lists")
        return self._drop(key, "is a wildcard")

    def _range(self, values: RangeSlotList) -> Node:
        key = repr(values)
        if key not in self._ranges:
            language = values.words_language or self._language
            self._ranges[key] = self._dawg.union(
                [
                    self._dawg.before(label, HOLE)
                    for number in values.get_numbers()
                    for label in number_labels(number, language, in_words=values.words)
                ]
            )
        return self._ranges[key]

    def _drop(self, piece: str, reason: str) -> Node:
        self.dropped[piece] = reason
        return NOTHING


def _subsets(count: int, size: int) -> Iterable[frozenset[int]]:
    return map(frozenset, itertools.combinations(range(count), size))
