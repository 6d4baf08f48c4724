"""Which task waits for which: a pure graph, each operation linear in the edges that it removes."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping


class Graph:
    """The open dependencies of tasks that have not ended."""

    def __init__(self) -> None:
        self._waits_for: dict[str, set[str]] = {}
        self._dependents: dict[str, dict[str, None]] = {}

    def add(self, node: str, waits_for: Iterable[str]) -> None:
        """Let `node` wait for others, none of which may have ended; without any it is not kept."""
        parents = set(waits_for)
        if parents:
            self._waits_for[node] = parents
        for parent in parents:
            self._dependents.setdefault(parent, {})[node] = None

    def is_blocked(self, node: str) -> bool:
        """Whether it waits for something."""
        return node in self._waits_for

    def complete(self, node: str) -> list[str]:
        """Remove what is done; gives those that now wait for nothing, in the order in which they were added."""
        released = []
        for child in self._dependents.pop(node, ()):
            open_ones = self._waits_for[child]
            open_ones.discard(node)
            if not open_ones:
                del self._waits_for[child]
                released.append(child)
        return released

    def doom(self, node: str) -> list[str]:
        """Remove what will never be done and all that waits for it; gives the latter, the nearest first."""
        doomed: dict[str, None] = {}
        self._detach(node)
        nearest = deque(self._dependents.pop(node, ()))
        while nearest:
            child = nearest.popleft()
            if child in doomed:
                continue
            doomed[child] = None
            self._detach(child)
            nearest.extend(self._dependents.pop(child, ()))
        return list(doomed)

    def _detach(self, node: str) -> None:
        for parent in self._waits_for.pop(node, ()):
            siblings = self._dependents.get(parent)
            if siblings is not None:
                siblings.pop(node, None)
                if not siblings:
                    del self._dependents[parent]


def find_cycle(edges: Mapping[str, Collection[str]]) -> list[str]:
    """The nodes that can never begin because they wait for each other, or for such; empty when all can."""
    if not edges:
        return []
    open_ones = {node: {parent for parent in parents if parent in edges} for node, parents in edges.items()}
    graph = Graph()
    for node, parents in open_ones.items():
        graph.add(node, parents)
    free = [node for node, parents in open_ones.items() if not parents]
    while free:
        node = free.pop()
        del open_ones[node]
        free.extend(graph.complete(node))
    return list(open_ones)
