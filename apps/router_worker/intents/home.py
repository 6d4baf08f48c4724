"""The names that people use in one home."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_OF_TEMPLATES = re.compile(r"[\[\](){}<>|;\\]")


@dataclass(frozen=True)
class Device:
    """Something that has a name and belongs to a domain of Home Assistant (light, lock, cover, ...)."""

    name: str
    domain: str


_USUAL_DEVICES = {
    "light": ("lamp", "bed light", "ceiling light", "desk lamp", "living room lamp"),
    "switch": ("coffee machine", "heater"),
    "fan": ("fan",),
    "media_player": ("TV", "radio"),
    "lock": ("front door", "back door"),
    "cover": ("garage door", "sliding door", "gate", "curtains"),
    "climate": ("thermostat",),
    "sensor": ("outdoor temperature", "outdoor humidity"),
    "scene": ("mood lighting",),
    "script": ("party time",),
    "vacuum": ("vacuum",),
}


@dataclass(frozen=True)
class Home:
    """Areas, floors and devices; by default what many homes have, connected or not."""

    areas: tuple[str, ...] = (
        "kitchen",
        "living room",
        "dining room",
        "bedroom",
        "bathroom",
        "office",
        "hallway",
        "garage",
        "garden",
    )
    floors: tuple[str, ...] = ("ground floor", "first floor", "upstairs", "downstairs")
    devices: tuple[Device, ...] = tuple(
        Device(name, domain) for domain, names in _USUAL_DEVICES.items() for name in names
    )

    def __post_init__(self) -> None:
        for name in (*self.areas, *self.floors, *(device.name for device in self.devices)):
            if not name.strip() or _OF_TEMPLATES.search(name):
                raise ValueError(f"{name!r} cannot be a name: it is empty or has brackets in it")

    def lists(self) -> Mapping[str, Any]:
        """The lists `name`, `area` and `floor` as a hassil dictionary has them."""
        return {
            "name": {
                "values": [
                    {"in": device.name, "out": device.name, "context": {"domain": device.domain}}
                    for device in self.devices
                ]
            },
            "area": {"values": [{"in": area, "out": area} for area in self.areas]},
            "floor": {"values": [{"in": floor, "out": floor} for floor in self.floors]},
        }
