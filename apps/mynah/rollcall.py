"""Who of the fleet is up: said when it changes, and when everybody is."""

import os
import socket
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from mynah.visitor import is_resident
from mynah_contracts import Health, Role

STYLES: Final = {"degraded": "yellow", "down": "red"}


def rival(names: Collection[tuple[Role, str]], workers: Iterable[Health]) -> Health | None:
    """Who has a name that we are about to give, or is a router, of which there is one; None: nobody is in our way."""
    return next(
        (
            one
            for one in workers
            if one.status != "down"
            and ((one.service, one.instance) in names or one.service is Role.ROUTER)
            and (one.host != socket.gethostname() or _is_running(one.pid))
        ),
        None,
    )


def _is_running(pid: int) -> bool:
    """Whether a process of this machine has not ended; its last word may be older than its end."""
    try:
        os.kill(max(pid, 1), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class RollCall:
    """Says of `wanted` workers who comes and who goes; `began` is when the first of them was started, monotonic."""

    def __init__(self, say: Callable[[str, str, str], None], wanted: int, began: float, try_this: str) -> None:
        self._say = say
        self._wanted = wanted
        self._began = began
        self._try_this = try_this
        self._statuses: dict[str, str] = {}
        self._is_complete = False
        self._was_complete = False

    def note(self, health: Health) -> None:
        """Say what has changed. Whoever is down before they ever were up belongs to another day."""
        name = f"{health.service.value}/{health.instance}"
        before = self._statuses.get(name)
        if not is_resident(health) or health.status in {before, "starting"} or (not before and health.status == "down"):
            return
        self._statuses[name] = health.status
        engine = f" with {health.engine}" if health.engine and health.status == "up" else ""
        reason = f": {health.reason}" if health.reason else ""
        self._say(name, f"{health.status}{engine}{reason}", STYLES.get(health.status, ""))
        self._count()

    def reconnected(self) -> None:
        """The broker was away."""
        self._say("mynah", "The connection to the broker was lost and is back.", "yellow")

    def _count(self) -> None:
        up = sum(status != "down" for status in self._statuses.values())
        if up >= self._wanted and not self._is_complete:
            took = time.monotonic() - self._began
            words = "again." if self._was_complete else f"after {took:.1f} s. Try: {self._try_this}"
            self._say("mynah", f"Everybody is up {words}", "bold green")
            self._was_complete = True
        self._is_complete = up >= self._wanted
