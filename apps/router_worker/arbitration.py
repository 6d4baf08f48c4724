"""Which satellite answers when more than one hears the wake word: the loudest within a short window."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """Who answers, and who is to be silent."""

    winner: str
    losers: tuple[str, ...]


class Arbitration:
    """Collects who heard the wake word; `clock` is monotonic, in seconds.

    The first to report opens a window; when it has passed, the loudest wins, the earlier one among equals. Who reports
    for some time after that heard the same word and has lost.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, *, window_s: float = 0.1, echo_s: float = 0.7
    ) -> None:
        self._clock = clock
        self._window_s = window_s
        self._echo_s = echo_s
        self._opened: float | None = None
        self._heard: dict[str, float] = {}
        self._winner: str | None = None

    def hear(self, satellite: str, loudness: float) -> bool:
        """A satellite heard the wake word this loud (dB, or any measure that all share); False if it is too late."""
        now = self._clock()
        if self._opened is None or now >= self._opened + self._echo_s or satellite == self._winner:
            self._opened, self._winner, self._heard = now, None, {}
        elif self._winner is not None:
            return False
        self._heard[satellite] = max(loudness, self._heard.get(satellite, loudness))
        return True

    def due_in(self) -> float | None:
        """Seconds until `decide` has something to say; None when nobody waits."""
        if self._opened is None or self._winner is not None:
            return None
        return max(self._opened + self._window_s - self._clock(), 0.0)

    def decide(self) -> Verdict | None:
        """The verdict, once, when the window has passed."""
        if self.due_in() != 0:
            return None
        self._winner = max(self._heard, key=lambda satellite: self._heard[satellite])
        return Verdict(self._winner, tuple(name for name in self._heard if name != self._winner))
