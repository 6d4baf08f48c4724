"""What a sieve leaves of the intents is all that hassil could find."""

from collections.abc import Callable
from random import Random

import pytest
from hassil import Intents, recognize_best
from hypothesis import given, settings
from hypothesis import strategies as st

from router_worker.intents import Home, Recogniser, dictionary
from router_worker.intents.sieve import Heard, Sieve


def at_home(sentences: dict, home: Home | None = None) -> Intents:
    return Intents.from_dict({**sentences, "lists": {**sentences["lists"], **(home or Home()).lists()}})


ALL = (
    Intents.from_dict(dictionary.merged(map(dictionary.own, dictionary.OWN))),
    at_home(dictionary.merged([dictionary.own(dictionary.HOME), dictionary.home_assistant(lean=True)])),
    at_home(dictionary.home_assistant(lean=False)),
)
SIEVE = Sieve(*ALL)
SENTENCES = [
    (intents, block, sentence)
    for intents in ALL
    for intent in intents.intents.values()
    for block in intent.data
    for sentence in block.sentences
]
WORDS = (
    *("set", "a", "timer", "timers", "for", "five", "minutes", "fiveminutes", "twenty-one", "s", "é", "-", "7"),
    *("the", "kitchen", "lights", "on", "in", "add", "to", "my", "list", "what", "is"),
)
DOTLESS = "\N{LATIN SMALL LETTER DOTLESS I}"
SPOILT: tuple[Callable[[str, Random], str], ...] = (
    lambda text, _: text,
    lambda text, _: text,
    lambda text, chance: text.replace(" ", chance.choice(("", "-", "_", "  ", ", ", " - ", "'")), 1),
    lambda text, chance: text.replace(" ", chance.choice(("", "-", "_")), chance.randint(1, 9)),
    lambda text, chance: text[: (at := chance.randrange(len(text) + 1))] + chance.choice("s a,.'-2éi") + text[at:],
    lambda text, chance: text[: (at := chance.randrange(len(text) + 1))] + text[at + 1 :],
    lambda text, chance: " ".join(chance.sample(words := text.split(), len(words))),
    lambda text, chance: f"{text} {chance.choice(('please', 'in the story', 'the lamp', 'a timer', 'two'))}",
    lambda text, _: text.replace("i", DOTLESS, 1),
)


def found(command: str, intents: Intents | None) -> object:
    """What hassil finds, as far as the recogniser looks at it."""
    if intents is None:
        return None
    best = recognize_best(command, intents, intent_context={"area": "here"}, best_slot_name="name")
    return best and (best.intent.name, {name: entity.value for name, entity in best.entities.items()}, best.context)


def check(command: str) -> None:
    for intents, left in zip(ALL, SIEVE.sift(Heard(command)), strict=True):
        assert found(command, left) == found(command, intents)


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32))
def test_what_is_nearly_a_sentence_is_recognised_as_without_it(seed: int, said) -> None:
    chance = Random(seed)
    intents, block, sentence = chance.choice(SENTENCES)
    text = " ".join(said(sentence.expression, intents, block, chance).split())
    for spoil in chance.choices(SPOILT, k=2):
        text = spoil(text, chance)
    check(text.casefold())


@settings(deadline=None, max_examples=150)
@given(
    st.one_of(
        st.text(max_size=40),
        st.text("abcdeilmnorstu '-.,1", max_size=30),
        st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join),
    )
)
def test_whatever_is_said_is_recognised_as_without_it(text: str) -> None:
    check(text.casefold())


@pytest.mark.parametrize("text", ["this is a scripted question", "what is the capital of france", "x" * 200])
def test_what_has_a_word_of_no_sentence_is_soon_seen_to_be_none(recogniser: Recogniser, text: str) -> None:
    assert recogniser.is_none(text)
    assert recogniser.recognise(text) is None


def test_a_word_of_some_sentence_is_looked_at_closely(recogniser: Recogniser) -> None:
    assert not recogniser.is_none("what time is it")


def test_words_that_are_skipped_are_refused() -> None:
    with pytest.raises(ValueError, match="skipped"):
        Sieve(Intents.from_dict({"language": "en", "intents": {}, "skip_words": ["please"]}))


def test_a_name_with_letters_that_are_equal_to_others_is_found() -> None:
    home = Home(areas=(f"kap{DOTLESS}", "café"), floors=(), devices=())
    sentences = dictionary.merged([dictionary.own(dictionary.HOME), dictionary.home_assistant(lean=True)])
    intents = at_home(sentences, home)
    sieve = Sieve(intents)
    for command in ("turn on the lights in the kapi", "turn on the lights in the café"):
        (left,) = sieve.sift(Heard(command))
        assert found(command, left) == found(command, intents)
    assert found(command, intents) is not None
