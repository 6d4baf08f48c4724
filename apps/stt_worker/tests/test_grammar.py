"""A grammar holds exactly the sentences that hassil samples from the same templates."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hassil import Intents, recognize
from hassil.parse_expression import parse_sentence
from hassil.sample import sample_intents, sample_sentence
from hypothesis import given, settings
from hypothesis import strategies as st

from stt_worker.grammar.compiler import compile_grammar
from stt_worker.grammar.errors import BadVocabulary, VocabularyTooLarge
from stt_worker.grammar.grammar import Grammar
from stt_worker.grammar.labels import written

WORDS = ("on", "off", "the", "light", "lamp", "two", "wi-fi")
LISTS = {"area": {"values": ["hall", "dining room", "[big] bath"]}, "few": {"range": {"from": 19, "to": 23}}}
RULES = {"turn": "(turn|switch) [it]", "where": "in [the] {area}"}


@pytest.fixture(scope="module")
def few_words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dictionary in which every letter sounds like an A: quick to read, and every word can be said."""
    path = tmp_path_factory.mktemp("dictionary") / "few.dict"
    path.write_text("".join(f"{letter} AA\n" for letter in "abcdefghijklmnopqrstuvwxyz"))
    return path


def vocabulary(*templates: str, **more: Any) -> dict[str, Any]:
    return {"language": "en", "intents": {"Any": {"data": [{"sentences": list(templates)}]}}, **more}


def sentences(grammar: Grammar, state: int = 0) -> Iterator[str]:
    if state in grammar.finals:
        yield ""
    for label, to in grammar.following(state).items():
        for rest in sentences(grammar, to):
            yield f"{written(label)} {rest}".strip()


def some_sentence(grammar: Grammar, random: Random) -> str:
    state, words = 0, []
    while True:
        following = sorted(grammar.following(state).items())
        if state in grammar.finals and (not following or random.random() < 0.5):
            return " ".join(words)
        label, state = random.choice(following)
        words.append(written(label))


words = st.sampled_from(WORDS)
groups = st.recursive(
    st.one_of(words, st.sampled_from(("{area}", "{few}", "<turn>", "<where>", "lamp[s]", "five( |-)hour[s]"))),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(" ".join),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: f"[{'|'.join(parts)}]"),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({';'.join(parts)})"),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(template=groups)
def test_it_holds_exactly_the_sentences_that_hassil_samples(few_words: Path, template: str) -> None:
    known = vocabulary(template, lists=LISTS, expansion_rules=RULES)
    intents = Intents.from_dict(known)
    sampled = sample_sentence(parse_sentence(template), intents.slot_lists, intents.expansion_rules, "en")
    expected = {" ".join(text.replace("-", " ").split()).lower() for text in sampled}
    expected = {text for text in expected if not any(word.isdigit() for word in text.split())}
    held = [text.replace("-", " ") for text in sentences(compile_grammar(known, few_words))]
    assert set(held) == expected - {""}


def test_no_state_stands_for_what_another_one_stands_for(few_words: Path) -> None:
    grammar = compile_grammar(vocabulary("(turn|switch) (on|off) the (light|lamp)[s]"), few_words)
    assert len({state for arc in grammar.arcs for state in arc[:2]}) == 5
    assert len(grammar.arcs) == 2 + 2 + 1 + 4


@pytest.mark.parametrize("seed", range(3))
def test_hassil_recognises_what_the_grammar_accepts(house: dict[str, Any], dictionary: Path, seed: int) -> None:
    grammar = compile_grammar(house, dictionary)
    intents = Intents.from_dict(house)
    random = Random(seed)
    for _ in range(60):
        sentence = some_sentence(grammar, random)
        assert grammar.accepts(sentence)
        assert recognize(sentence, intents, intent_context={"area": "kitchen"}), sentence


def test_the_grammar_accepts_what_hassil_samples(house: dict[str, Any], dictionary: Path) -> None:
    grammar = compile_grammar(house, dictionary)
    intents = Intents.from_dict(house)
    sampled = [text for _, text in sample_intents(intents, language="en", max_sentences_per_intent=400)]
    random = Random(0)
    checked = [
        " ".join(text.lower().split())
        for text in random.sample(sampled, 600)
        if not set(text) & set("0123456789-%/") and recognize(text, intents, intent_context={"area": "kitchen"})
    ]
    assert len(checked) > 200
    assert [text for text in checked if not grammar.accepts(text)] == []


@pytest.mark.parametrize("seed", range(3))
def test_hassil_recognises_no_sentence_that_the_grammar_refuses(
    assistant: dict[str, Any], dictionary: Path, seed: int
) -> None:
    without_fillers = {**assistant, "skip_words": []}
    grammar = compile_grammar(without_fillers, dictionary)
    intents = Intents.from_dict(without_fillers)
    random = Random(seed)
    refused = 0
    for _ in range(150):
        spoken = some_sentence(grammar, random).split()
        place = random.randrange(len(spoken))
        changed = random.choice(
            (
                spoken[:place] + spoken[place + 1 :],
                [*spoken[:place], spoken[place], *spoken[place:]],
                random.sample(spoken, len(spoken)),
            )
        )
        text = " ".join(changed)
        if text and not grammar.accepts(text):
            refused += 1
            assert recognize(text, intents) is None, text
    assert refused > 50


def test_what_hassil_skips_may_be_said_before_and_after(assistant: dict[str, Any], dictionary: Path) -> None:
    grammar = compile_grammar(assistant, dictionary)
    assert grammar.accepts("can you please pause the timer")
    assert grammar.accepts("what time is it please")
    assert not grammar.accepts("please")


@pytest.mark.parametrize(
    "text",
    ["set timer for twenty five minutes", "set a timer for one hundred seconds", "what is seven plus ninety nine"],
)
def test_numbers_are_words(assistant: dict[str, Any], dictionary: Path, text: str) -> None:
    assert compile_grammar(assistant, dictionary).accepts(text)


def test_the_beginning_of_a_sentence_is_none(assistant: dict[str, Any], dictionary: Path) -> None:
    grammar = compile_grammar(assistant, dictionary)
    assert grammar.accepts("set a timer for five minutes")
    assert not grammar.accepts("set a timer")
    assert not grammar.accepts("a timer for five minutes")


def test_a_list_gives_only_the_values_that_the_context_asks_for(few_words: Path) -> None:
    lists = {
        "name": {
            "values": [{"in": n, "out": n, "context": {"domain": d}} for n, d in (("lamp", "light"), ("door", "lock"))]
        }
    }
    known = vocabulary("lock the {name}", lists=lists)
    known["intents"]["Any"]["data"][0]["requires_context"] = {"domain": "lock"}
    assert set(sentences(compile_grammar(known, few_words))) == {"lock the door"}


@pytest.mark.parametrize(
    ("template", "piece", "reason"),
    [
        ("play {anything}", "{anything}", "wildcard"),
        ("go to {nowhere}", "{nowhere}", "not among the lists"),
        ("do <nothing>", "<nothing>", "not among the expansion rules"),
        ("go <round> and round", "<round>", "calls itself"),
        ("it costs 5€", "5€", "sign"),
        ("(" * 30 + "on", "(" * 30 + "on", "not a template"),
        ("a" * 300, "a" * 300, "longer than"),
        ("number {many}", "{many}", "numbers"),
        (f"({';'.join(WORDS)};hall;bath)", "a permutation", "parts"),
    ],
)
def test_what_cannot_be_said_is_left_out_and_reported(few_words: Path, template: str, piece: str, reason: str) -> None:
    known = vocabulary(
        template,
        "turn on the lamp",
        lists={"anything": {"wildcard": True}, "many": {"range": {"from": 0, "to": 10_000_000}}},
        expansion_rules={"round": "a [<round>]"},
    )
    grammar = compile_grammar(known, few_words)
    assert reason in grammar.dropped[piece]
    assert grammar.accepts("turn on the lamp")
    assert (grammar.templates, grammar.lost_templates) == (2, 0 if "round" in template else 1)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"language": "en"},
        {"language": "en", "intents": []},
        {"language": "en", "intents": {"A": {"data": [{}]}}},
        {"language": "en", "intents": {}, "lists": {"a": {}}},
        {"language": "en", "intents": {}, "lists": {"a": {"range": {"from": 5, "to": 1}}}},
        {"language": "en", "intents": {}, "expansion_rules": {"a": "((("}},
    ],
)
def test_what_hassil_cannot_read_is_refused(few_words: Path, broken: dict[str, Any]) -> None:
    with pytest.raises(BadVocabulary):
        compile_grammar(broken, few_words)


def test_a_vocabulary_without_a_sentence_makes_a_grammar_without_one(few_words: Path) -> None:
    grammar = compile_grammar(vocabulary("[please]"), few_words)
    assert not grammar.finals & {0}
    assert list(sentences(grammar)) == ["please"]
    assert not compile_grammar({"language": "en", "intents": {}}, few_words).finals


def test_a_vocabulary_that_explodes_is_refused(few_words: Path) -> None:
    # Whether a word is the twentieth from the end is only known at the end: 2^20 states.
    explosive = " ".join(["[(on|off)]"] * 20 + ["on"] + ["(on|off)"] * 19)
    with pytest.raises(VocabularyTooLarge):
        compile_grammar(vocabulary(explosive), few_words, most_states=5_000)
