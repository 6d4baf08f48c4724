"""What is said about a home while nothing of it is connected."""

from router_worker.intents import HERE, Intent

_THINGS = {
    "light": "lights",
    "fan": "fans",
    "climate": "thermometer",
    "cover": "blinds",
    "media_player": "media player",
    "vacuum": "vacuum",
}
_OF_INTENT = {
    "HassLightSet": "light",
    "HassFanSetSpeed": "fan",
    "HassSetPosition": "cover",
    "HassClimateGetTemperature": "climate",
    "HassClimateSetTemperature": "climate",
    "HassVacuumStart": "vacuum",
    "HassVacuumReturnToBase": "vacuum",
}


def not_connected(intent: Intent) -> str:
    """That the thing that is asked for is not there, by the name that was used for it."""
    name = intent.text("name")
    if name:
        return f"I have no device named {name} connected."
    return f"I have no {_thing(intent)}{_place(intent)} connected."


def _thing(intent: Intent) -> str:
    device_class = intent.text("device_class")
    if device_class:
        return f"{device_class}s"
    usual = "media_player" if intent.name.startswith("HassMedia") else _OF_INTENT.get(intent.name, "")
    return _THINGS.get(intent.text("domain") or usual, "device for that")


def _place(intent: Intent) -> str:
    area = intent.text("area")
    if area and area != HERE:
        return f" in the {area}"
    floor = intent.text("floor")
    if floor:
        return f" {floor}" if floor.endswith("stairs") else f" on the {floor}"
    return ""
