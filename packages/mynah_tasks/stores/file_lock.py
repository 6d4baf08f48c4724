"""A lock beside a store's file, which is taken before anybody looks at that."""

import fcntl
import os
from contextlib import ExitStack
from pathlib import Path

from mynah_tasks.errors import StoreLocked, StoreUnavailable

MADE = b"made\n"


class FileLock:
    """Whoever has it is alone with the store in `path`; it ends with its process, however that ends.

    It remembers whether the store was ever made: an empty file of one that was is damaged, any other one is new.
    Raises StoreLocked when somebody else has it, StoreUnavailable when it cannot be had.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with ExitStack() as undo:
                self._file = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
                undo.callback(os.close, self._file)
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                undo.pop_all()
        except BlockingIOError as error:
            raise StoreLocked(f"another process has the task store {path} open") from error
        except OSError as error:
            raise StoreUnavailable(f"the task store {path} cannot be opened: {error}") from error

    @property
    def was_made(self) -> bool:
        """Whether the store had its tables once."""
        return os.pread(self._file, len(MADE), 0) == MADE

    def note(self, *, made: bool) -> None:
        """Remember it; raises OSError."""
        if made is not self.was_made:
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, MADE if made else b"", 0)

    def release(self) -> None:
        """Let others look."""
        os.close(self._file)
