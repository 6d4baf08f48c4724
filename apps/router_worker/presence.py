"""Where there is somebody to speak to."""

from collections.abc import Callable

from mynah_bus import Bus
from mynah_contracts import Health, Role, SatelliteState


class Presence:
    """The satellites that are up; `came` is called when there is one that can be made to speak and could not before."""

    def __init__(self, bus: Bus, came: Callable[[], None]) -> None:
        self._fleet = bus.fleet
        self._came = came
        self._sources: dict[str, str] = {}
        self._speaking: set[str] = set()

    def note(self, state: SatelliteState, source: str) -> None:
        """A worker, role/instance, says that it is a satellite."""
        if state.state == "off":
            self._sources.pop(state.satellite, None)
        else:
            self._sources[state.satellite] = source
        self.look()

    def is_of(self, satellite: str, health: Health) -> bool:
        """Whether it is this satellite's health."""
        return self._sources.get(satellite) == f"{health.service.value}/{health.instance}"

    def is_up(self, satellite: str) -> bool:
        """Whether somebody can be spoken to there."""
        return any(
            self.is_of(satellite, health) and health.status in {"up", "degraded"} for health in self._fleet.workers()
        )

    def best(self, *wanted: str) -> str:
        """The first of these satellites that is up, else any that is; empty: there is none."""
        return next(filter(self.is_up, (*wanted, *self._sources)), "")

    def look(self) -> None:
        """See who is there, whenever that may have changed."""
        speaking = set(filter(self.is_up, self._sources)) if self._fleet.is_up(Role.TTS) else set()
        is_somebody_new = not speaking <= self._speaking
        self._speaking = speaking
        if is_somebody_new:
            self._came()
