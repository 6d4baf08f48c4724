"""Sums as tokens, and what they come to.

    sum   = term (("plus" | "minus") term)*
    term  = sign (("times" | "divided by" | "modulo" | "of") sign)*
    sign  = "minus" sign | power
    power = value ("squared" | "cubed" | "and a half" | "percent" | "thirds" | "quarters")* ("to the power of" sign)?
    value = number | fraction | "(" sum ")" | "the square root of" sign

Nothing is evaluated by Python, numbers are exact where they can be, and every size is bounded.
"""

import re
from fractions import Fraction
from math import isqrt, sqrt
from typing import NamedTuple

from llm_worker.engines.number_words import read_number

DEEPEST = 20
MOST_BITS = 1_000

# Each operator's ways of being said; the key is how we say it.
SAID = {
    "plus": ("plus", "added to", "+"),
    "minus": ("minus", "negative", "take away", "less", "-"),
    "times": ("times", "multiplied by", "x", "*", "×"),  # noqa: RUF001  # the sign of multiplication
    "divided by": ("divided by", "over", "/", "÷"),
    "modulo": ("modulo", "mod"),
    "of": ("of",),
    "to the power of": ("to the power of", "to the power", "^", "**"),
    "squared": ("squared", "²"),
    "cubed": ("cubed", "³"),
    "percent": ("percent", "per cent", "%"),
    "thirds": ("thirds",),
    "quarters": ("quarters",),
    "and a half": ("and a half",),
    "the square root of": ("the square root of", "square root of", "√"),
    "half": ("half", "a half", "½"),
    "a third": ("a third", "one third", "⅓"),
    "a quarter": ("a quarter", "one quarter", "¼"),
    "(": ("(", "open bracket"),
    ")": (")", "close bracket"),
}
FRACTIONS = {"half": Fraction(1, 2), "a third": Fraction(1, 3), "a quarter": Fraction(1, 4)}
SHARES = {"percent": 100, "thirds": 3, "quarters": 4}
POWERS = {"squared": Fraction(2), "cubed": Fraction(3)}

OPERATOR_OF = {said: operator for operator, ways in SAID.items() for said in ways}
# The longest way of saying it first, and no word inside another one.
OPERATOR = re.compile(
    "|".join(
        re.escape(said) + ("(?![a-z])" if said[-1].isalpha() else "")
        for said in sorted(OPERATOR_OF, key=len, reverse=True)
    )
)
WORD = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?|[a-z]+")
BETWEEN_WORDS = re.compile(r"(?<=[a-z])-(?=[a-z])|\s+")


class NotASumError(Exception):
    """The text is not a sum."""


class NoAnswerError(Exception):
    """The sum has no answer; the message is a sentence that says why."""


class Token(NamedTuple):
    """An operator by the name we say, or a number."""

    operator: str
    number: Fraction = Fraction(0)


def tokens(text: str) -> list[Token]:
    """The sum in a lower-case text; raises NotASumError."""
    # `twenty-five` is one number, `3-2` is two.
    text = BETWEEN_WORDS.sub(" ", text)
    found: list[Token] = []
    words: list[str] = []
    position = 0
    while position < len(text):
        if operator := OPERATOR.match(text, position):
            found += [*_numbers(words), Token(OPERATOR_OF[operator[0]])]
            words = []
            position = operator.end()
        elif word := WORD.match(text, position):
            words.append(word[0])
            position = word.end()
        elif text[position] == " ":
            position += 1
        else:
            raise NotASumError
    return found + _numbers(words)


def evaluate(found: list[Token]) -> Fraction:
    """What a sum comes to; raises NotASumError, NoAnswerError."""
    parser = _Parser(found)
    result = parser.sum()
    if parser.rest or not parser.has_calculated:
        raise NotASumError
    if _bits(result) > MOST_BITS:
        raise NoAnswerError("That number is too large for me.")
    return result


def _numbers(words: list[str]) -> list[Token]:
    numbers = []
    while words:
        read = read_number(words)
        if read is None:
            raise NotASumError
        numbers.append(Token("", read.value))
        words = words[read.words :]
    return numbers


class _Parser:
    """Recursive descent; computes while it reads."""

    def __init__(self, found: list[Token]) -> None:
        self.rest = list(reversed(found))
        self.has_calculated = False
        self._depth = 0
        self._last = ""

    def sum(self) -> Fraction:
        value, _ = self._term()
        while operator := self._take("plus", "minus"):
            term, is_percentage = self._term()
            # `80 plus 15 percent` is 92: a percentage is taken of what stands before it.
            term = value * term if is_percentage else term
            value = value + term if operator == "plus" else value - term
            self.has_calculated = True
        return value

    def _term(self) -> tuple[Fraction, bool]:
        """A product, and whether it is nothing but a percentage."""
        is_number = bool(self.rest) and not self.rest[-1].operator
        value = self._sign()
        is_percentage = is_number and self._last == "percent"
        while operator := self._take("times", "divided by", "modulo", "of"):
            factor = self._sign()
            if operator in ("times", "of"):
                value *= factor
            elif not factor:
                raise NoAnswerError("I can't divide by zero.")
            else:
                value = value / factor if operator == "divided by" else value % factor
            self.has_calculated, is_percentage = True, False
        return value, is_percentage

    def _sign(self) -> Fraction:
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotASumError
        value = -self._sign() if self._take("minus") else self._power()
        self._depth -= 1
        return value

    def _power(self) -> Fraction:
        value = self._value()
        while operator := self._take("and a half", *SHARES, *POWERS):
            if operator in SHARES:
                value /= SHARES[operator]
            elif operator == "and a half":
                value += FRACTIONS["half"]
            else:
                value = _raised(value, POWERS[operator])
                self.has_calculated = True
        if self._take("to the power of"):
            value = _raised(value, self._sign())
            self.has_calculated = True
        return value

    def _value(self) -> Fraction:
        if self._take("the square root of"):
            self.has_calculated = True
            return _root(self._sign())
        if self._take("("):
            value = self.sum()
            if not self._take(")"):
                raise NotASumError
            return value
        if fraction := self._take(*FRACTIONS):
            return FRACTIONS[fraction]
        if not self.rest or self.rest[-1].operator:
            raise NotASumError
        self._last = ""
        return self.rest.pop().number

    def _take(self, *operators: str) -> str:
        """The next token if it is one of these operators, else nothing."""
        if not self.rest or self.rest[-1].operator not in operators:
            return ""
        self._last = self.rest.pop().operator
        return self._last


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    if base in (0, 1):
        if not base and exponent < 0:
            raise NoAnswerError("I can't divide by zero.")
        return base if exponent else Fraction(1)
    if _bits(base) * abs(exponent) > MOST_BITS:
        raise NoAnswerError(f"That number is too {'large' if abs(base) > 1 and exponent > 0 else 'small'} for me.")
    if exponent.denominator == 1:
        return base**exponent.numerator
    if base < 0:
        raise NoAnswerError("I can't take a root of a negative number.")
    return Fraction(float(base) ** float(exponent))


def _root(value: Fraction) -> Fraction:
    if value < 0:
        raise NoAnswerError("I can't take a root of a negative number.")
    if _bits(value) > MOST_BITS:
        raise NoAnswerError("That number is too large for me.")
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    return root if root**2 == value else Fraction(sqrt(value))


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())
