"""Numbers, times and lists as a person says them."""

import math
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
_HOUR_S = 3600


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 timer", "3 timers"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listing(things: Sequence[str]) -> str:
    """Things one after the other: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(things[:-1]), things[-1]] if len(things) > 1 else things)


def duration(seconds: float) -> str:
    """A length of time: "1 hour, 8 minutes and 5 seconds"; part of a second counts as one."""
    return listing([count(number, unit) for number, unit in _parts(math.ceil(seconds))]) or "0 seconds"


def time_left(seconds: float) -> str:
    """A length of time, without the seconds from one hour on."""
    if seconds > _HOUR_S:
        seconds = math.ceil(seconds / 60) * 60
    return duration(seconds)


def length_of(seconds: int) -> str:
    """A length of time before a noun: "1 hour 8 minute"."""
    return " ".join(f"{number} {unit}" for number, unit in _parts(seconds))


def time_of_day(now: datetime, hours: Literal[12, 24]) -> str:
    """The time: "3:05 PM" or "15:05"."""
    if hours == 24:  # noqa: PLR2004  # the number is its own name
        return f"{now:%H:%M}"
    return f"{now.hour % 12 or 12}:{now:%M} {'AM' if now.hour < 12 else 'PM'}"  # noqa: PLR2004  # noon


def ordinal(number: int) -> str:
    """A number in a row: "1st", "22nd", "13th"."""
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def weekday(day: date) -> str:
    """The day of the week: "Saturday"."""
    return _DAYS[day.weekday()]


def month(day: date) -> str:
    """The month: "November"."""
    return _MONTHS[day.month - 1]


def day_and_month(day: date) -> str:
    """A day within the year: "November 22nd"."""
    return f"{month(day)} {ordinal(day.day)}"


def _parts(seconds: int) -> list[tuple[int, str]]:
    parts = []
    for unit, length in _UNITS:
        number, seconds = divmod(seconds, length)
        if number:
            parts.append((number, unit))
    return parts
