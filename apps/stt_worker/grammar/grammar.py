"""What can be said, ready for a decoder."""

from dataclasses import dataclass
from functools import cached_property

from stt_worker.grammar.labels import written

Arc = tuple[int, int, str]
"""From a state, to a state, over the label of a word."""


@dataclass(frozen=True)
class Grammar:
    """A minimal deterministic automaton over words; state 0 is where sentences start."""

    language: str
    arcs: tuple[Arc, ...]
    finals: frozenset[int]
    pronunciations: dict[str, tuple[str, ...]]
    """By label, the ways to say it, the usual one first: ARPAbet with a space between sounds."""
    dropped: dict[str, str]
    """By piece of template or word that cannot be recognised: why."""
    templates: int
    lost_templates: int
    """How many of the templates have no sentence left."""

    def accepts(self, text: str) -> bool:
        """Whether the text is a whole sentence of the grammar."""
        states = {0}
        for word in text.split():
            states = {to for state in states for label, to in self.following(state).items() if written(label) == word}
        return not self.finals.isdisjoint(states)

    def following(self, state: int) -> dict[str, int]:
        """The states that words lead to, by label."""
        return self._following.get(state, {})

    @cached_property
    def _following(self) -> dict[int, dict[str, int]]:
        following: dict[int, dict[str, int]] = {}
        for state, to, label in self.arcs:
            following.setdefault(state, {})[label] = to
        return following
