"""The sentences that an ear should know: finite, so that a grammar can be made of them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from router_worker.intents import dictionary
from router_worker.intents.dictionary import Dictionary
from router_worker.intents.home import Home
from router_worker.intents.utterance import FILLERS

_ITEMS = (
    "apples",
    "bananas",
    "beer",
    "bread",
    "butter",
    "carrots",
    "cheese",
    "chicken",
    "chocolate",
    "coffee",
    "cookies",
    "cream",
    "eggs",
    "fish",
    "flour",
    "garlic",
    "ham",
    "honey",
    "juice",
    "lemons",
    "meat",
    "milk",
    "oil",
    "onions",
    "oranges",
    "paper towels",
    "pasta",
    "pepper",
    "potatoes",
    "rice",
    "salad",
    "salt",
    "soap",
    "sugar",
    "tea",
    "toilet paper",
    "tomatoes",
    "water",
    "wine",
    "yogurt",
)
_TIMER_NAMES = (
    "bread",
    "cake",
    "coffee",
    "cooking",
    "egg",
    "laundry",
    "oven",
    "pasta",
    "pizza",
    "rice",
    "tea",
    "washing",
)
_REFERENCE = re.compile(r"\{(\w+)[^}]*\}|<(\w+)>")


def vocabulary(home: Home) -> Dictionary:
    """Every sentence that makes sense spoken, as a hassil intents dictionary without wildcards; JSON-able."""
    topics = [dictionary.own(topic) for topic in (*dictionary.OWN, dictionary.HOME, dictionary.MODEL)]
    everything = dictionary.merged([*map(_finite, topics), dictionary.home_assistant(lean=True)])
    everything["lists"].update(home.lists())
    return {
        **_reached(everything),
        "intents": {name: _spoken(intent) for name, intent in everything["intents"].items()},
        "skip_words": list(FILLERS),
    }


def _finite(topic: Dictionary) -> Dictionary:
    known = {"items": _ITEMS, "timer_name": _TIMER_NAMES, "item": _ITEMS}
    lists = {
        name: {"values": list(known[name])} if values.get("wildcard") else values
        for name, values in topic["lists"].items()
    }
    return {**topic, "lists": lists}


def _spoken(intent: Mapping[str, Any]) -> Dictionary:
    blocks = []
    for block in intent["data"]:
        domain = block.get("requires_context", {}).get("domain")
        wanted = {"requires_context": {"domain": domain}} if domain else {}
        blocks.append({"sentences": block["sentences"], **wanted})
    return {"data": blocks}


def _reached(everything: Dictionary) -> Dictionary:
    """The dictionary with the lists and rules only that some sentence needs."""
    rules, lists = set[str](), set[str]()
    waiting = [
        text for intent in everything["intents"].values() for block in intent["data"] for text in block["sentences"]
    ]
    while waiting:
        for name, is_rule in _references(waiting.pop()):
            if not is_rule:
                lists.add(name)
            elif name not in rules:
                rules.add(name)
                waiting.append(everything["expansion_rules"][name])
    return {
        "language": everything["language"],
        "lists": {name: values for name, values in everything["lists"].items() if name in lists},
        "expansion_rules": {name: rule for name, rule in everything["expansion_rules"].items() if name in rules},
    }


def _references(template: str) -> Iterator[tuple[str, bool]]:
    for found in _REFERENCE.finditer(template):
        yield found[1] or found[2], found[1] is None
