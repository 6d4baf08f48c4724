"""What `mynah up` prints: one line after the other, each with who says it."""

import re
from collections.abc import Callable
from typing import Final

from rich.text import Text

from mynah.terminal import Terminal

WIDTH: Final = 12
COLOURS: Final = {
    "mynah": "bold",
    "broker": "bright_black",
    "memory": "yellow",
    "router": "magenta",
    "llm": "blue",
    "tts": "green",
    "stt": "cyan",
    "satellite": "bright_blue",
}
LOGGED: Final = re.compile(r"[\d-]{10} (?P<time>[\d:]{8}),\d{3} - \S+ - (?P<level>[A-Z]+) - (?P<message>.*)")
"""A line of a worker's log."""
ALARMING: Final = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


class Board:
    """Prints what each process says; once nobody reads, it tells `on_closed` and is silent."""

    def __init__(self, on_closed: Callable[[], None]) -> None:
        self._terminal = Terminal()
        self._on_closed = on_closed
        self._is_closed = False

    def say(self, who: str, line: str, style: str = "") -> None:
        """Print a line of one process; of a log only what a person wants to know."""
        logged = LOGGED.fullmatch(line)
        if logged is not None:
            line, style = logged["message"], ALARMING.get(logged["level"], "dim")
        colour = COLOURS.get(who.partition("/")[0], "")
        self._print(Text.assemble((f"{who:<{WIDTH}} │ ", colour), (line, style)))

    def _print(self, text: Text) -> None:
        if self._is_closed:
            return
        try:
            self._terminal.print(text)
        except OSError:
            self._is_closed = True
            self._on_closed()
