import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah_tasks.graph import Graph, find_cycle


def diamond() -> Graph:
    graph = Graph()
    graph.add("left", ["top"])
    graph.add("right", ["top"])
    graph.add("bottom", ["left", "right"])
    return graph


@pytest.mark.req("ENG-10")
def test_a_node_is_free_when_everything_it_waits_for_is_done() -> None:
    graph = diamond()
    assert graph.complete("top") == ["left", "right"]
    assert graph.complete("right") == []
    assert graph.is_blocked("bottom")
    assert graph.complete("left") == ["bottom"]
    assert not graph.is_blocked("bottom")


@pytest.mark.req("ENG-11", "ENG-12")
def test_everything_downstream_is_doomed_once_the_nearest_first() -> None:
    assert diamond().doom("top") == ["left", "right", "bottom"]


def test_what_is_doomed_leaves_nothing_behind() -> None:
    graph = diamond()
    graph.doom("left")
    assert graph.complete("top") == ["right"]
    assert graph.complete("right") == []
    graph.add("left", ["top"])
    assert graph.complete("top") == ["left"]


@pytest.mark.req("ENG-11")
@pytest.mark.parametrize(
    ("edges", "stuck"),
    [
        ({"a": []}, set()),
        ({"a": ["a"]}, {"a"}),
        ({"a": ["b"], "b": ["a"]}, {"a", "b"}),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, {"a", "b", "c"}),
        ({"a": ["b", "c"], "b": ["c"], "c": []}, set()),
        ({"a": ["somebody else"]}, set()),
    ],
)
def test_circles_are_found(edges: dict[str, list[str]], stuck: set[str]) -> None:
    assert set(find_cycle(edges)) == stuck


def test_ten_thousand_parents_and_a_chain_of_ten_thousand_are_no_trouble() -> None:
    graph = Graph()
    parents = [str(n) for n in range(10_000)]
    graph.add("child", parents)
    assert [child for parent in parents for child in graph.complete(parent)] == ["child"]
    for n in range(10_000):
        graph.add(f"link {n + 1}", [f"link {n}"])
    assert len(graph.doom("link 0")) == 10_000
    assert find_cycle({str(n): [str(n + 1)] for n in range(10_000)}) == []


@given(st.dictionaries(st.integers(0, 12), st.sets(st.integers(0, 12))))
def test_what_is_not_in_a_circle_can_be_worked_off_and_the_rest_cannot(numbers: dict[int, set[int]]) -> None:
    edges = {str(node): {str(parent) for parent in parents if parent in numbers} for node, parents in numbers.items()}
    done: set[str] = set()
    while ready := {node for node, parents in edges.items() if node not in done and parents <= done}:
        done |= ready
    assert set(find_cycle(edges)) == edges.keys() - done
