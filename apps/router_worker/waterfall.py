"""Where the time of a turn went."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A part of a turn's time."""

    name: str
    us: int
    """Microseconds."""

    @property
    def ms(self) -> float:
        """Milliseconds."""
        return self.us / 1000


class Waterfall:
    """Steps that follow each other without a gap; `now` is monotonic, in microseconds."""

    def __init__(self, now: Callable[[], int], first: str) -> None:
        self._now = now
        self._begun = [(first, now())]
        self._ended: int | None = None

    def begin(self, name: str) -> None:
        """The step before ends, and this one begins."""
        self._begun.append((name, self._now()))

    def end(self) -> None:
        """The last step ends."""
        self._ended = self._now()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps so far: together exactly `total_us`."""
        ends = [began for _, began in self._begun[1:]] + [self._until()]
        return tuple(Step(name, end - began) for (name, began), end in zip(self._begun, ends, strict=True))

    @property
    def ended(self) -> Step | None:
        """The step that ended last."""
        if self._ended is not None:
            name, began = self._begun[-1]
            return Step(name, self._ended - began)
        if len(self._begun) == 1:
            return None
        (name, began), (_, end) = self._begun[-2:]
        return Step(name, end - began)

    @property
    def total_us(self) -> int:
        """How long it took, or has taken so far, in microseconds."""
        return self._until() - self._begun[0][1]

    def _until(self) -> int:
        return self._now() if self._ended is None else self._ended
