"""Finite sets of texts as a directed acyclic word graph that is minimal at every moment.

Nodes are interned: two nodes that stand for the same set of texts are the same number, so that equality,
memory and work are those of the minimal automaton, however often a piece of text is written in the templates.
"""

from collections.abc import Iterable, Mapping

from stt_worker.grammar.errors import SentenceTooLong, VocabularyTooLarge

Node = int
Arcs = tuple[tuple[str, Node], ...]

NOTHING: Node = 0
"""The empty set: a sentence that cannot be said."""
END: Node = 1
"""The empty text alone: a sentence that is over."""
HOLE: Node = 2
"""A place that `fill` puts other texts into."""

SPACE = " "
HYPHEN = "-"
_HOLE_LABEL = "\0"


class Dawg:
    """Interned nodes over single-character labels; runs of spaces count as one, and none at the end."""

    def __init__(self, most_nodes: int, longest: int = 250) -> None:
        self._most_nodes = most_nodes
        self._longest = longest
        self._arcs: list[Arcs] = []
        self._final: list[bool] = []
        self._length: list[int] = []
        self._interned: dict[tuple[bool, Arcs], Node] = {}
        self._unions: dict[frozenset[Node], Node] = {}
        self._filled: dict[tuple[Node, Node], Node] = {}
        self.node({}, final=False)
        self.node({}, final=True)
        self.node({_HOLE_LABEL: END}, final=False)

    def arcs(self, node: Node) -> Arcs:
        """What can follow, by label in order."""
        return self._arcs[node]

    def is_final(self, node: Node) -> bool:
        """Whether a text may end here."""
        return self._final[node]

    def node(self, arcs: Mapping[str, Node], *, final: bool) -> Node:
        """The node with these arcs; those that lead to NOTHING are left out.

        Raises VocabularyTooLarge or SentenceTooLong past the limits.
        """
        return self._intern(tuple(sorted((label, to) for label, to in arcs.items() if to != NOTHING)), final=final)

    def before(self, text: str, node: Node) -> Node:
        """The node's texts, each with `text` before it."""
        for character in reversed(text):
            node = self._step(character, node)
        return node

    def union(self, nodes: Iterable[Node]) -> Node:
        """The texts of all the nodes together."""
        distinct = frozenset(nodes) - {NOTHING}
        if len(distinct) <= 1:
            return next(iter(distinct), NOTHING)
        known = self._unions.get(distinct)
        if known is not None:
            return known
        following: dict[str, list[Node]] = {}
        for node in distinct:
            for label, to in self._arcs[node]:
                following.setdefault(label, []).append(to)
        arcs = {label: self.union(to) for label, to in following.items()}
        # "five-hour" is said like "five hour": one of them is enough.
        if HYPHEN in arcs and arcs[HYPHEN] == arcs.get(SPACE):
            del arcs[HYPHEN]
        self._unions[distinct] = union = self.node(arcs, final=any(self._final[node] for node in distinct))
        return union

    def fill(self, node: Node, then: Node) -> Node:
        """The node's texts with those of `then` in the place of each HOLE."""
        if node == HOLE:
            return then
        key = (node, then)
        known = self._filled.get(key)
        if known is not None:
            return known
        parts = [END] if self._final[node] else []
        for label, to in self._arcs[node]:
            parts.append(then if label == _HOLE_LABEL else self._step(label, self.fill(to, then)))
        self._filled[key] = filled = self.union(parts)
        return filled

    def strip(self, node: Node) -> Node:
        """The node's texts without a space in front."""
        arcs = dict(self._arcs[node])
        spaced = arcs.pop(SPACE, NOTHING)
        return node if spaced == NOTHING else self.union((self.node(arcs, final=self._final[node]), spaced))

    def _step(self, character: str, node: Node) -> Node:
        if node == NOTHING:
            return NOTHING
        if character != SPACE:
            return self._intern(((character, node),), final=False)
        after = self.strip(node)
        final = self._final[after]
        if final:
            after = self._intern(self._arcs[after], final=False)
        return self.node({SPACE: after}, final=final)

    def _intern(self, arcs: Arcs, *, final: bool) -> Node:
        key = (final, arcs)
        known = self._interned.get(key)
        if known is not None:
            return known
        if len(self._arcs) >= self._most_nodes:
            raise VocabularyTooLarge(f"the sentences need more than {self._most_nodes} states")
        length = max([1 + self._length[to] for _, to in arcs], default=0)
        if length > self._longest:
            raise SentenceTooLong(f"is longer than {self._longest} characters")
        self._interned[key] = node = len(self._arcs)
        self._arcs.append(arcs)
        self._final.append(final)
        self._length.append(length)
        return node
