"""What the code of every room says about messages: nothing that a declaration says already."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mynah_contracts import CATALOGUE

ROOT = Path(__file__).parents[3]
TOPICS = {declared.contract.topic for declared in CATALOGUE.values() if declared.contract.topic is not None}
LITERAL = re.compile("|".join(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(topic)) for topic in TOPICS))


def _sources(*rooms: str) -> Iterator[Path]:
    for room in rooms:
        yield from (path for path in (ROOT / room).rglob("*.py") if "tests" not in path.parts)


def _mentioned_topics(source: str) -> list[str]:
    words = (node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant))
    return [word for word in words if isinstance(word, str) and LITERAL.fullmatch(word.removeprefix("mynah/"))]


def _untyped(source: str) -> list[str]:
    """The asynchronous functions that do not say of each argument, and of what they return, what it is."""
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.AsyncFunctionDef) and None in _hints(node)
    ]


def _hints(function: ast.AsyncFunctionDef) -> list[ast.expr | None]:
    given = function.args
    arguments = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    named = [argument for argument in arguments if argument is not None and argument.arg not in {"self", "cls"}]
    return [*(argument.annotation for argument in named), function.returns]


@pytest.mark.req("B-23")
def test_topics_stand_in_their_declarations_only() -> None:
    mentioned = {
        path: _mentioned_topics(path.read_text(encoding="utf-8"))
        for path in _sources("apps", "packages")
        if "mynah_contracts" not in path.parts
    }
    assert {path: topics for path, topics in mentioned.items() if topics} == {}


@pytest.mark.req("MQ-16")
def test_asynchronous_functions_say_what_they_take_and_give() -> None:
    untyped = {path: _untyped(path.read_text(encoding="utf-8")) for path in _sources("apps", "packages")}
    assert {path: names for path, names in untyped.items() if names} == {}


def test_a_topic_in_the_code_is_noticed() -> None:
    for topic in TOPICS:
        literal = topic.format(**dict.fromkeys(re.findall(r"\{(\w+)\}", topic), "x"))
        assert _mentioned_topics(f"await publish({literal!r}, 1)") == [literal]
        assert _mentioned_topics(f"TOPIC = 'mynah/{literal}'") == [f"mynah/{literal}"]


@pytest.mark.parametrize("signature", ["a", "a: int, b", "*a", "**a", "self, *, a", "a, /"])
def test_a_missing_type_is_noticed(signature: str) -> None:
    assert _untyped(f"async def f({signature}) -> None: ...") == ["f"]
    assert _untyped("async def f(self, a: int, *b: str, **c: float): ...") == ["f"]
    assert _untyped("async def f(self, a: int, *b: str, **c: float) -> None: ...") == []
