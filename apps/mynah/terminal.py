"""Where the command line prints: whatever others said is text there, and commands nothing."""

from collections.abc import Iterable
from typing import IO, Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

COMMANDS: Final = {
    code: f"\\u{code:04x}"  # as JSON writes it, so that JSON stays JSON
    for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Control characters but tab and newline, and those that turn the direction of writing."""


class Terminal(Console):
    """A console on which only we use colours and move the cursor."""

    def __init__(self, *, stderr: bool = False, file: IO[str] | None = None) -> None:
        super().__init__(stderr=stderr, file=file, highlight=False, soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed, without commands in its text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=segment.text.translate(COMMANDS))

    def on_broken_pipe(self) -> None:
        """Tell whoever prints that nobody reads; the process does not end."""
        raise BrokenPipeError
