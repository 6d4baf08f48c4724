"""The satellite that a command is, for one question."""

from typing import Final

from mynah_bus import new_id
from mynah_contracts import Health, Role

_PREFIX: Final = "cli-"


def visitor_name() -> str:
    """A name that no other satellite has."""
    return f"{_PREFIX}{new_id()[-8:]}"


def is_visitor(satellite: str) -> bool:
    """Whether a satellite of this name is here for one question."""
    return satellite.startswith(_PREFIX)


def is_resident(health: Health) -> bool:
    """Whether a worker belongs to the fleet, and is missed when it goes."""
    return not (health.service is Role.SATELLITE and is_visitor(health.instance))
