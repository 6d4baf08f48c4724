"""Converts units: `how many feet are in a mile`, `what is 20 degrees celsius in fahrenheit`."""

import re
from dataclasses import dataclass
from fractions import Fraction

from llm_worker.engines.arithmetic import spoken
from llm_worker.engines.number_words import read_number

LONGEST_TEXT = 200


@dataclass(frozen=True)
class Unit:
    """A unit by its plural; `value * scale + offset` is the same in the first unit of its dimension."""

    plural: str
    dimension: str
    scale: Fraction
    offset: Fraction = Fraction(0)
    singular: str = ""

    def named(self, value: Fraction) -> str:
        """The unit as it is said after a number."""
        return (self.singular or self.plural.removesuffix("s")) if abs(value) == 1 else self.plural


def _units(dimension: str, **scales: str) -> list[Unit]:
    return [Unit(name.replace("_", " "), dimension, Fraction(scale)) for name, scale in scales.items()]


UNITS = [
    *_units("length", meters="1", kilometers="1000", centimeters="0.01", millimeters="0.001"),
    *_units("length", miles="1609.344", yards="0.9144"),
    Unit("feet", "length", Fraction("0.3048"), singular="foot"),
    Unit("inches", "length", Fraction("0.0254"), singular="inch"),
    *_units("mass", kilograms="1", grams="0.001", milligrams="0.000001", tonnes="1000"),
    *_units("mass", pounds="0.45359237", ounces="0.028349523125"),
    Unit("stone", "mass", Fraction("6.35029318")),
    *_units("volume", liters="1", milliliters="0.001", US_gallons="3.785411784", US_pints="0.473176473"),
    *_units("volume", US_cups="0.2365882365", US_tablespoons="0.01478676478125", US_teaspoons="0.00492892159375"),
    *_units("volume", imperial_gallons="4.54609", imperial_pints="0.56826125"),
    *_units("time", seconds="1", minutes="60", hours="3600", days="86400", weeks="604800"),
    *(
        Unit(f"{distance}s per hour", "speed", Fraction(meters) / 3600, singular=f"{distance} per hour")
        for distance, meters in (("kilometer", "1000"), ("mile", "1609.344"))
    ),
    Unit("meters per second", "speed", Fraction(1), singular="meter per second"),
    Unit("knots", "speed", Fraction(1852, 3600)),
    Unit("degrees Celsius", "temperature", Fraction(1), Fraction("273.15"), "degree Celsius"),
    Unit(
        "degrees Fahrenheit", "temperature", Fraction(5, 9), Fraction("273.15") - Fraction(160, 9), "degree Fahrenheit"
    ),
    Unit("kelvin", "temperature", Fraction(1)),
]

# Other names of the units; a word, unlike an abbreviation, takes an s for more than one.
ABBREVIATED = {
    "meters": ("m",),
    "kilometers": ("km",),
    "centimeters": ("cm",),
    "millimeters": ("mm",),
    "feet": ("ft",),
    "kilograms": ("kg",),
    "grams": ("g",),
    "milligrams": ("mg",),
    "pounds": ("lb", "lbs"),
    "ounces": ("oz",),
    "liters": ("l",),
    "milliliters": ("ml",),
    "kilometers per hour": ("km/h", "kph"),
    "miles per hour": ("mph",),
    "meters per second": ("m/s",),
    "degrees celsius": ("celsius", "centigrade", "degrees centigrade", "°c"),
    "degrees fahrenheit": ("fahrenheit", "°f"),
}
CALLED = {
    "kilo": "kilograms",
    "ton": "tonnes",
    "gallon": "us gallons",
    "pint": "us pints",
    "cup": "us cups",
    "tablespoon": "us tablespoons",
    "teaspoon": "us teaspoons",
}

BY_NAME = {name.lower(): unit for unit in UNITS for name in (unit.plural, unit.named(Fraction(1)))}
BY_NAME |= {short: BY_NAME[plural] for plural, names in ABBREVIATED.items() for short in names}
BY_NAME |= {word + ending: BY_NAME[plural] for word, plural in CALLED.items() for ending in ("", "s")}

QUESTIONS = (
    re.compile(r"how many (?P<to>.+?) (?:are |is )?(?:there )?(?:are |is )?in (?P<amount>.+)"),
    re.compile(r"how many (?P<to>.+?) (?:is|are|make|makes) (?P<amount>.+)"),
    re.compile(
        r"(?:please )?(?:convert |change |turn |what is |what's |whats |how much is |how much are |what are )?"
        r"(?P<amount>.+) (?:in|to|into|as) (?P<to>.+)"
    ),
)
# `10km` is `10 km`, `twenty-five` is `twenty five`, but `-5` stays what it is.
GLUED = re.compile(r"(?<=[0-9])(?=[a-z°])|(?<=[a-z])-(?=[a-z])|\s+")


def convert(question: str) -> str | None:
    """The answer to a question about units, as a sentence; None when it is no such question."""
    if len(question) > LONGEST_TEXT:
        return None
    text = GLUED.sub(" ", question.lower().replace("metre", "meter").replace("litre", "liter")).strip(" ?!.")
    for pattern in QUESTIONS:
        if (match := pattern.fullmatch(text)) and (answer := _answer(match["amount"].split(), match["to"])):
            return answer
    return None


def _answer(words: list[str], to: str) -> str | None:
    value, unit = _amount(words)
    source, target = BY_NAME.get(unit), BY_NAME.get(to)
    if source is None or target is None:
        return None
    if source.dimension != target.dimension:
        return f"I can't convert {source.plural} to {target.plural}."
    result = (value * source.scale + source.offset - target.offset) / target.scale
    amount = f"{spoken(value)} {source.named(value)}"
    return f"{amount[0].upper()}{amount[1:]} is {spoken(result)} {target.named(result)}."


def _amount(words: list[str]) -> tuple[Fraction, str]:
    """What `minus two and a half degrees celsius` begins with, and the rest of it; `a mile` is one."""
    sign, words = (-1, words[1:]) if words[0] in ("minus", "negative") else (1, words)
    if words and words[0].startswith("-"):
        sign, words = -sign, [words[0][1:], *words[1:]]
    read = read_number(words)
    if read is None:
        return Fraction(sign), " ".join(words[words[:1] in (["a"], ["an"]) :])
    value, words = read.value, words[read.words :]
    if words[:3] == ["and", "a", "half"]:
        value, words = value + Fraction(1, 2), words[3:]
    return sign * value, " ".join(words)
