"""From a hassil intents dictionary to a grammar."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from hassil import Intents

from stt_worker.grammar.dawg import NOTHING, SPACE, Dawg, Node
from stt_worker.grammar.errors import BadVocabulary
from stt_worker.grammar.grammar import Arc, Grammar
from stt_worker.grammar.pronounce import Pronouncer
from stt_worker.grammar.templates import UNREADABLE, Sentences

MOST_STATES: Final = 200_000
"""A third of them is needed for all of Home Assistant's English."""
Place = tuple[Node, bool]
"""Where a word may start, and whether the sentence may end before it."""


def compile_grammar(vocabulary: Mapping[str, Any], dictionary: Path, most_states: int = MOST_STATES) -> Grammar:
    """The grammar of all sentences that hassil recognises with this vocabulary, pronounced with this cmudict.

    Raises BadVocabulary if hassil cannot read it and VocabularyTooLarge if it holds too much.
    """
    try:
        intents = Intents.from_dict(dict(vocabulary))
    except UNREADABLE as error:
        raise BadVocabulary(f"hassil cannot read the intents: {error!r}") from error
    characters = Dawg(most_states)
    sentences = Sentences(characters, intents.language)
    start = (sentences.of(intents), False)
    following = _words(characters, start)
    labels = {label for after in following.values() for label, _ in after}
    pronouncer = Pronouncer.reading(dictionary, labels, intents.language)
    sounds = {label: pronouncer.pronounce(label) for label in sorted(labels)}
    sayable = {label: ways for label, ways in sounds.items() if ways}
    arcs, finals = _numbered(*_minimal(following, start, sayable.keys()))
    used = {label for _, _, label in arcs}
    return Grammar(
        language=intents.language,
        arcs=arcs,
        finals=finals,
        pronunciations={label: ways for label, ways in sayable.items() if label in used},
        dropped=sentences.dropped | dict.fromkeys(sounds.keys() - sayable.keys(), "has no pronunciation"),
        templates=sentences.templates,
        lost_templates=sentences.lost,
    )


def _words(characters: Dawg, start: Place) -> dict[Place, list[tuple[str, Place]]]:
    """By place, the words that may come next and the places after them."""
    following: dict[Place, list[tuple[str, Place]]] = {}
    waiting = [start]
    while waiting:
        place = waiting.pop()
        if place not in following:
            following[place] = list(_words_from(characters, place[0]))
            waiting += [after for _, after in following[place]]
    return following


def _words_from(characters: Dawg, node: Node) -> Iterator[tuple[str, Place]]:
    spelled = [("", node)]
    while spelled:
        word, node = spelled.pop()
        arcs = dict(characters.arcs(node))
        place = (arcs.pop(SPACE, NOTHING), characters.is_final(node))
        if word and place != (NOTHING, False):
            yield word, place
        spelled += [(word + letter, to) for letter, to in arcs.items()]


def _minimal(
    following: Mapping[Place, list[tuple[str, Place]]], start: Place, sayable: Collection[str]
) -> tuple[Dawg, Node]:
    """The graph over words, and its first node."""
    words = Dawg(MOST_STATES)
    made: dict[Place, Node] = {}
    # A node has a larger number than those that it leads to: in order of number, they are made by then.
    for place in sorted(following):
        arcs = {label: made[after] for label, after in following[place] if label in sayable}
        made[place] = words.node(arcs, final=place[1])
    return words, made[start]


def _numbered(words: Dawg, first: Node) -> tuple[tuple[Arc, ...], frozenset[int]]:
    """The arcs and final states, numbered from 0 in the order in which they are reached."""
    states = {first: 0}
    arcs: list[Arc] = []
    for node in (order := [first]):
        for label, to in words.arcs(node):
            if to not in states:
                states[to] = len(states)
                order.append(to)
            arcs.append((states[node], states[to], label))
    return tuple(arcs), frozenset(state for node, state in states.items() if words.is_final(node))
