"""How words sound that the dictionary has, and those that it has not."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stt_worker.grammar.letters import guess
from stt_worker.grammar.pronounce import Pronouncer

PHONES = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW V W Y Z ZH".split()  # noqa: SIM905  # a table
)


@pytest.mark.parametrize(
    ("word", "sounds"),
    [
        ("light", "L AY T"),
        ("wi-fi", "W AY F AY"),
        ("thermostat's", "TH ER M AH S T AE T S"),
        ("firefoxes", "F AY ER F AO K S IH Z"),
        ("unmute", "AH N M Y UW T"),
        ("ecobee", "IY K OW B IY"),
        ("shoppinglist", "SH AA P IH NG L IH S T"),
        ("hd2", "EY CH D IY T UW"),
        ("21", "T W EH N T IY W AH N"),
        ("one|a", "AH"),
        ("hundred|hundred_and", "HH AH N D R AH D AH N D"),
        ("rock&roll", "R AA K AH N D R OW L"),
        ("café", "K AH F EY"),
        ("nvm", "EH N V IY EH M"),
        ("zigbee", "Z IH G B IY"),
    ],
)
def test_a_word_sounds_like(dictionary: Path, word: str, sounds: str) -> None:
    assert Pronouncer.reading(dictionary, [word], "en").pronounce(word)[0] == sounds


def test_a_word_with_two_pronunciations_has_both(dictionary: Path) -> None:
    pronouncer = Pronouncer.reading(dictionary, ["tv", "the"], "en")
    assert set(pronouncer.pronounce("the")) == {"DH AH", "DH IY"}


@pytest.mark.parametrize("word", ["-", "...", "'", "日本", ""])
def test_what_has_no_letters_and_no_digits_has_no_sound(dictionary: Path, word: str) -> None:
    assert Pronouncer.reading(dictionary, [word], "en").pronounce(word) == ()


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=30))
def test_every_word_of_letters_sounds_somehow(word: str) -> None:
    assert set(guess(word).split()) <= PHONES


@given(st.text(max_size=12))
def test_any_text_is_pronounced_in_phones_of_the_model_or_not_at_all(word: str) -> None:
    pronouncer = Pronouncer({letter: ["AH"] for letter in "abcdefghijklmnopqrstuvwxyz"}, "en")
    for sounds in pronouncer.pronounce(word):
        assert sounds
        assert set(sounds.split()) <= PHONES


def test_guesses_share_four_of_five_sounds_with_the_dictionary(dictionary: Path) -> None:
    lines = [line.split() for line in dictionary.read_text().splitlines()[::50]]
    words = [(word, sounds) for word, *sounds in lines if word.isascii() and word.isalpha() and len(word) > 2]
    wrong = sum(_edits(guess(word).split(), sounds) for word, sounds in words)
    assert wrong / sum(len(sounds) for _, sounds in words) < 0.2


def _edits(first: list[str], second: list[str]) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, row[0] = row[0], i
        for j, b in enumerate(second, start=1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]
