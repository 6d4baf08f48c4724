"""The satellites of rooms."""

from typing import Literal

from mynah_contracts.message import Event, Name, State
from mynah_contracts.roles import Role


class SatelliteControl(Event, topic="satellite/{satellite}/control", by=Role.ROUTER, to=Role.SATELLITE):
    """What a satellite is to do about the turn in the envelope."""

    satellite: Name
    action: Literal["finish", "stop", "stand_down"]
    """`finish`: no sentence follows; `stop`: cut the sound; `stand_down`: another one answers."""
    sentences: int = 0
    """How many sentences the turn has, with `finish`."""
    reason: str = ""


class SatelliteState(State, topic="satellite/{satellite}/state", by=Role.SATELLITE, to=(Role.ROUTER, Role.SKILL)):
    """What a satellite is doing."""

    satellite: Name
    state: Literal["idle", "listening", "waiting", "speaking", "muted", "off"]
    started_at: float = 0.0
    seq: int = 0
