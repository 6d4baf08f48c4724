"""Word on the bus of a worker that dies before it can give it."""

import contextlib

from mynah.fleet import Spec
from mynah_bus import Bus, BusSettings, MynahError, Worker


class _Lost:
    """What cannot be opened."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def __aenter__(self) -> None:
        raise MynahError(self._why)

    async def __aexit__(self, *error: object) -> None: ...


async def speak_for(settings: BusSettings, spec: Spec, why: str) -> None:
    """Have a worker's health say why it is down; nothing is said where no broker answers soon, or lets us."""
    bus = Bus(spec.role, settings.model_copy(update={"instance": spec.instance}))
    with contextlib.suppress(MynahError, OSError):
        async with Worker(bus, _Lost(why)):
            pass
