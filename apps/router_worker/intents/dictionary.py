"""The sentences, as hassil intents dictionaries: our own and those of home-assistant-intents."""

import json
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

import home_assistant_intents
import yaml

OWN = ("clock", "timers", "shopping", "talk")
"""The topics that are answered here."""
HOME = "home"
MODEL = "model"
LANGUAGE = "en"
HOME_INTENTS = (
    "HassTurnOn",
    "HassTurnOff",
    "HassLightSet",
    "HassGetState",
    "HassClimateGetTemperature",
    "HassClimateSetTemperature",
    "HassSetPosition",
    "HassFanSetSpeed",
    "HassMediaNext",
    "HassMediaPrevious",
    "HassMediaPause",
    "HassMediaUnpause",
    "HassMediaPlayerMute",
    "HassMediaPlayerUnmute",
    "HassVacuumStart",
    "HassVacuumReturnToBase",
)
"""The intents of Home Assistant that are about a home; the rest is done here or left to the language model."""

Dictionary = dict[str, Any]


def own(topic: str) -> Dictionary:
    """The sentences of one topic of this package."""
    text = resources.files("router_worker.intents").joinpath("sentences", f"{topic}.yaml").read_text(encoding="utf-8")
    return {"language": LANGUAGE, "lists": {}, "expansion_rules": {}, **yaml.safe_load(text)}


def home_assistant(*, lean: bool) -> Dictionary:
    """What Home Assistant understands about a home, without wildcards; `lean` is the smaller set, made for speech."""
    load = home_assistant_intents.get_speech_to_phrase_intents if lean else home_assistant_intents.get_intents
    found = load(LANGUAGE, json_load=json.load)
    if found is None:
        raise LookupError(f"home-assistant-intents has no sentences for {LANGUAGE}")
    wild = {name for name, values in found["lists"].items() if values.get("wildcard")}
    return {
        "language": LANGUAGE,
        "lists": {name: values for name, values in found["lists"].items() if name not in wild},
        "expansion_rules": found["expansion_rules"],
        "intents": {name: _without(wild, found["intents"][name]) for name in HOME_INTENTS if name in found["intents"]},
    }


def merged(dictionaries: Iterable[Mapping[str, Any]]) -> Dictionary:
    """All of them as one. Raises ValueError where two mean different things by one list or rule."""
    everything: Dictionary = {"language": LANGUAGE, "intents": {}, "lists": {}, "expansion_rules": {}}
    for dictionary in dictionaries:
        for kind in ("lists", "expansion_rules"):
            for name, meaning in dictionary[kind].items():
                if everything[kind].setdefault(name, meaning) != meaning:
                    raise ValueError(f"two topics mean different things by {name}")
        for name, intent in dictionary["intents"].items():
            everything["intents"].setdefault(name, {"data": []})["data"].extend(intent["data"])
    return everything


def _without(wild: set[str], intent: Mapping[str, Any]) -> Dictionary:
    blocks = []
    for block in intent["data"]:
        sentences = [text for text in block["sentences"] if not any(f"{{{name}" in text for name in wild)]
        if sentences:
            blocks.append({**block, "sentences": sentences})
    return {"data": blocks}
