"""Where the time of a turn went, as a picture in text."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from mynah_contracts import Step

COLOURS: Final = {"listening": "blue", "transcribing": "cyan", "thinking": "magenta", "speaking": "green"}
OTHER: Final = "yellow"
SECOND: Final = 1_000
NAME: Final = 12
TIME: Final = 8
LONGEST_BAR: Final = 36
SHORTEST_BAR: Final = 4
"""Below that many columns there is none."""
CELLS: Final = {(False, False): " ", (True, False): "╸", (False, True): "╺", (True, True): "━"}


def duration(ms: float) -> str:
    """Milliseconds, from a second on seconds."""
    return f"{ms:.0f} ms" if round(ms) < SECOND else f"{ms / SECOND:.2f} s"


def waterfall(steps: Sequence[Step], total_ms: float, width: int) -> Iterator[Text]:
    """A line for each step, its bar below the end of the one before; the longest stands out. At most `width` wide."""
    room = min(LONGEST_BAR, width - NAME - TIME - 3)
    longest = max((step.ms for step in steps), default=0.0)
    whole = sum(step.ms for step in steps) or 1.0
    before = 0.0
    for step in steps:
        colour = COLOURS.get(step.name, OTHER)
        weight = "bold" if step.ms == longest else "dim"
        line = Text.assemble((f"{step.name:<{NAME}} ", colour), (f"{duration(step.ms):>{TIME}}", weight))
        if room >= SHORTEST_BAR:
            line.append(f"  {_bar(before / whole, (before + step.ms) / whole, room)}", colour)
        yield line
        before += step.ms
    yield Text(f"{'together':<{NAME}} {duration(total_ms):>{TIME}}", "dim")


def _bar(begin: float, end: float, room: int) -> str:
    """A bar from `begin` to `end`, shares of the `room`, exact to half a column and never nothing."""
    first = min(round(2 * room * begin), 2 * room - 1)
    last = max(round(2 * room * end), first + 1)
    halves = [first <= half < last for half in range(2 * room)]
    return "".join(CELLS[pair] for pair in zip(halves[::2], halves[1::2], strict=True)).rstrip()
