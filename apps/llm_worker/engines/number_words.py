"""Numbers as people say them: `three hundred and five`, `2.5 million`, `four point two`."""

import re
from fractions import Fraction
from typing import NamedTuple

DIGIT_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEENS = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}

# Every word of a number: its kind and its value.
WORDS = {
    "zero": ("zero", 0),
    **{word: ("digit", number) for number, word in enumerate(DIGIT_WORDS) if number},
    **{word: ("teen", number) for number, word in enumerate(TEENS, start=10)},
    **{word: ("ten", 10 * number) for number, word in enumerate(TENS, start=2)},
    "hundred": ("hundred", 100),
    **{word: ("scale", number) for word, number in SCALES.items()},
    "and": ("joint", 0),
    "a": ("joint", 0),
}

# Which kinds of word may follow which.
FOLLOWING = {
    "start": {"zero", "digit", "teen", "ten", "hundred", "scale", "joint"},
    "zero": set[str](),
    "digit": {"hundred", "scale"},
    "teen": {"hundred", "scale"},
    "ten": {"digit", "scale"},
    "hundred": {"digit", "teen", "ten", "scale", "joint"},
    "scale": {"digit", "teen", "ten", "joint"},
    "joint": {"digit", "teen", "ten", "hundred", "scale"},
}

DIGITS = re.compile(r"(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]+)?")
MOST_DIGITS = 30


class Read(NamedTuple):
    """A number and how many words it took."""

    value: Fraction
    words: int


def read_number(words: list[str]) -> Read | None:
    """The number at the beginning of some lower-case words, without a sign; None when there is none."""
    digits = _digits(words)
    whole = digits or _whole(words)
    if whole is None:
        return None
    value, used = whole
    decimals = _decimals(words[used:])
    for place, word in enumerate(decimals, start=1):
        value += Fraction(DIGIT_WORDS.index(word), 10**place)
    used += len(decimals) + bool(decimals)
    # `2.5 million`: only a whole number in words has its scales read already.
    if (digits or decimals) and used < len(words) and words[used] in SCALES:
        value, used = value * SCALES[words[used]], used + 1
    return Read(value, used)


def _digits(words: list[str]) -> Read | None:
    if words and len(words[0]) <= MOST_DIGITS and DIGITS.fullmatch(words[0]):
        return Read(Fraction(words[0].replace(",", "")), 1)
    return None


def _whole(words: list[str]) -> Read | None:
    """A whole number in words; a scale is smaller than the one before it."""
    total, group, used, last, smallest = 0, 0, 0, "start", 10**15
    for index, word in enumerate(words):
        kind, number = WORDS.get(word, ("", 0))
        if kind not in FOLLOWING[last] or (kind == "scale" and number >= smallest):
            break
        if kind == "hundred":
            group = (group or 1) * number
        elif kind == "scale":
            total, group, smallest = total + (group or 1) * number, 0, number
        else:
            group += number
        last = kind
        used = used if kind == "joint" else index + 1
    return Read(Fraction(total + group), used) if used else None


def _decimals(words: list[str]) -> list[str]:
    """The digits after `point`, in words."""
    if words[:1] != ["point"]:
        return []
    end = next((index for index, word in enumerate(words) if index and word not in DIGIT_WORDS), len(words))
    return words[1 : min(end, MOST_DIGITS)]
