"""Answers sums: `what is twelve plus thirty`, `how much is 15 percent of 80`, `2 ^ 10`."""

import re
from fractions import Fraction
from math import floor, log10

from llm_worker.engines.expression import NoAnswerError, NotASumError, Token, evaluate, tokens

LONGEST_TEXT = 500
LARGEST_SPOKEN = 10**15
SMALLEST_SPOKEN = Fraction(1, 10**6)
DIGITS = 5

# What surrounds a sum in a question.
OPENING = re.compile(
    r"(?:(?:hey|so|ok|okay|please|can you|could you|tell me|do you know|i want to know|calculate|compute|work out|solve"
    r"|what is|what's|whats|what does|what do|what are|how much is|how much are|evaluate|the result of)\s+)+"
)
CLOSING = re.compile(r"(?:\s+(?:equals?|makes?|is)(?:\s+what)?|\s*=)?(?:\s+please)?[\s?!.=]*$")

# Sums that put the operator before both numbers.
REARRANGED = (
    (re.compile(r"(?:add|(?:the )?sum of) (.+) (?:and|to) (.+)"), r"\1 plus \2"),
    (re.compile(r"subtract (.+) from (.+)"), r"\2 minus \1"),
    (re.compile(r"(?:the )?difference (?:between|of) (.+) and (.+)"), r"\1 minus \2"),
    (re.compile(r"(?:multiply|(?:the )?product of) (.+) (?:by|and|with) (.+)"), r"\1 times \2"),
    (re.compile(r"divide (.+) by (.+)"), r"\1 divided by \2"),
)


def solve(question: str) -> str | None:
    """The answer to a sum, as a sentence; None when the question is not a sum."""
    if len(question) > LONGEST_TEXT:
        return None
    try:
        found = tokens(_bare(question))
        result = evaluate(found)
    except NotASumError:
        return None
    except NoAnswerError as answer:
        return str(answer)
    return f"{_restated(found)} is {spoken(result)}."


def spoken(value: Fraction) -> str:
    """A number as it is read out: five digits, but two decimals at least; `about` before what is not exact."""
    size = abs(value)
    if size >= LARGEST_SPOKEN or 0 < size < SMALLEST_SPOKEN:
        mantissa, _, exponent = f"{float(value):.2e}".partition("e")
        return f"about {_signed(mantissa)} times 10 to the power of {_signed(str(int(exponent)))}"
    if value.denominator == 1:
        return _signed(str(value))
    decimals = max(2, DIGITS - 1 - floor(log10(size)))
    rounded = round(value, decimals)
    digits = f"{float(rounded):.{decimals}f}".rstrip("0").rstrip(".")
    return ("" if rounded == value else "about ") + _signed(digits)


def _bare(question: str) -> str:
    """The sum without the question around it, in lower case."""
    text = " ".join(question.lower().split())
    opening = OPENING.match(text)
    text = CLOSING.sub("", text[opening.end() :] if opening else text)
    for pattern, replacement in REARRANGED:
        if match := pattern.fullmatch(text):
            return match.expand(replacement)
    return text


def _restated(found: list[Token]) -> str:
    """The sum as it was understood, so that one hears what was misheard."""
    if any(token.operator in ("(", ")") for token in found):
        return "That"
    words = " ".join(token.operator or spoken(token.number) for token in found)
    return words[0].upper() + words[1:]


def _signed(digits: str) -> str:
    return digits.replace("-", "minus ")
