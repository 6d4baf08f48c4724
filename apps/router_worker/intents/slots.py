"""From the words that filled a sentence's gaps to the values that an intent carries."""

import re
from collections.abc import Mapping
from typing import Any

from router_worker.intents.intent import Slot

_SECONDS = {
    "hours": 3600,
    "minutes": 60,
    "seconds": 1,
    "half_hours": 1800,
    "half_minutes": 30,
    "quarter_hours": 900,
}
_BETWEEN_ITEMS = re.compile(r"\s+and\s+(?:some\s+|a\s+|an\s+)?")
_ARTICLE = re.compile(r"^(?:the|my|a|an|some|new)\s+")
_NAME = re.compile(r"[\w'-]+(?: [\w'-]+){0,3}")
_NO_NAMES = re.compile(r"(?:all|every|any|both|each|another|of|and|timers?|\d+)\b")


class NotAnIntent(ValueError):
    """The words fit a sentence but make no sense in it."""


def values(said: Mapping[str, Any]) -> dict[str, Slot]:
    """The slots of an intent: durations together as `seconds`, things for a list as `items`.

    Raises NotAnIntent when a name or a thing is none.
    """
    slots: dict[str, Slot] = {}
    lengths = {unit: said[unit] for unit in _SECONDS if unit in said}
    if lengths:
        slots["seconds"] = int(sum(_SECONDS[unit] * count for unit, count in lengths.items()))
    for name, value in said.items():
        if name in lengths:
            continue
        if name == "timer":
            slots[name] = _timer_name(value)
        elif name == "items":
            slots[name] = _items(value)
        else:
            slots[name] = value.strip() if isinstance(value, str) else value
    return slots


def _timer_name(said: str) -> str:
    name = _ARTICLE.sub("", said.strip())
    if not _NAME.fullmatch(name) or _NO_NAMES.match(name):
        raise NotAnIntent(name)
    return name


def _items(said: str) -> tuple[str, ...]:
    items = tuple(_ARTICLE.sub("", item.strip()) for item in _BETWEEN_ITEMS.split(said.strip()))
    if not all(items):
        raise NotAnIntent(said)
    return items
