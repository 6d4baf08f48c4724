"""What can be wrong with sound."""

from typing import Literal

ErrorCode = Literal["empty", "not_wav", "malformed", "unsupported", "too_long", "unreadable", "unwritable"]


class AudioError(Exception):
    """Sound that cannot be used: `code` is for machines, the message for people."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        # Both go to `args`, so that the error survives the way out of a child process.
        super().__init__(code, message)
        self.code = code

    def __str__(self) -> str:
        return str(self.args[1])
