"""Fails loudly when what belongs to one thread is touched from another."""

import threading

from mynah_resilience.errors import WrongThread


class OneThread:
    """Belongs to the thread that checks first."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._owner: threading.Thread | None = None

    def check(self) -> None:
        """Raise `WrongThread` unless this is the owner's thread."""
        here = threading.current_thread()
        if self._owner is None:
            self._owner = here
        if self._owner is not here:
            raise WrongThread(f"{self._what} belongs to {self._owner.name!r} and was used from {here.name!r}")
