"""Grammars are compiled once."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from stt_worker.grammar.cache import KEPT, GrammarCache
from stt_worker.grammar.grammar import Grammar

INTENTS = {"language": "en", "intents": {"Stop": {"data": [{"sentences": ["stop"]}]}}}


def grammar_of(word: str) -> Grammar:
    return Grammar(
        language="en",
        arcs=((0, 1, word),),
        finals=frozenset({1}),
        pronunciations={word: ("S T AA P", "S T AO P")},
        dropped={"{name}": "is a wildcard"},
        templates=2,
        lost_templates=1,
    )


def never() -> Grammar:
    raise AssertionError("it is in the cache")


@pytest.fixture
def compiling() -> Callable[[], Grammar]:
    return lambda: grammar_of("stop")


def test_the_second_time_it_is_read(tmp_path, compiling):
    assert GrammarCache(tmp_path / "new").grammar(INTENTS, compiling) == grammar_of("stop")
    assert GrammarCache(tmp_path / "new").grammar(INTENTS, never) == grammar_of("stop")


def test_other_intents_are_another_grammar(tmp_path, compiling):
    cache = GrammarCache(tmp_path)
    cache.grammar(INTENTS, compiling)
    assert cache.grammar({**INTENTS, "skip_words": ["please"]}, lambda: grammar_of("go")) == grammar_of("go")


def test_the_order_of_keys_makes_no_difference(tmp_path, compiling):
    cache = GrammarCache(tmp_path)
    cache.grammar(INTENTS, compiling)
    assert cache.grammar(dict(reversed(INTENTS.items())), never)


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-20], lambda b: b"", lambda b: b.replace(b"AA", b"AH"), lambda b: b"\0" * 99]
)
def test_a_damaged_file_is_compiled_again(tmp_path: Path, compiling, damage, caplog):
    cache = GrammarCache(tmp_path)
    cache.grammar(INTENTS, compiling)
    (path,) = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    assert cache.grammar(INTENTS, compiling) == grammar_of("stop")
    assert "damaged" in caplog.text
    assert cache.grammar(INTENTS, never) == grammar_of("stop")


def test_a_folder_that_cannot_be_written_costs_speed_only(tmp_path, compiling, caplog):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    with caplog.at_level(logging.WARNING):
        assert GrammarCache(in_the_way).grammar(INTENTS, compiling) == grammar_of("stop")
    assert "cannot be kept" in caplog.text


def test_the_folder_keeps_the_latest_and_no_drafts(tmp_path, compiling):
    cache = GrammarCache(tmp_path)
    for number in range(KEPT + 3):
        cache.grammar({**INTENTS, "number": number}, compiling)
    assert len(list(tmp_path.iterdir())) == KEPT
    assert cache.grammar({**INTENTS, "number": KEPT + 2}, never)


def test_intents_that_are_not_json_are_refused(tmp_path, compiling):
    with pytest.raises(TypeError):
        GrammarCache(tmp_path).grammar({"language": object()}, compiling)
