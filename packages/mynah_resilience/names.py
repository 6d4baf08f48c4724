"""Names that nobody can guess."""

import os
import secrets
from typing import Final

DRAWN_AT_ONCE: Final = 256
"""Each drawing is a call of the system, for which the interpreter goes to another thread and has to be waited for."""


class Names:
    """Random hexadecimal digits, two for each byte: `next_name = Names(12)`; from any thread, and after a fork."""

    def __init__(self, bytes_each: int) -> None:
        self._bytes_each = bytes_each
        self._left: list[str] = []
        os.register_at_fork(after_in_child=self._left.clear)

    def __call__(self) -> str:
        """One that was not drawn before."""
        try:
            return self._left.pop()
        except IndexError:
            drawn = secrets.token_bytes(DRAWN_AT_ONCE * self._bytes_each).hex(" ", self._bytes_each).split()
            name = drawn.pop()
            self._left += drawn
            return name
