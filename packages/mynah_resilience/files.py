"""Files that are there whole or not at all, and damaged ones that are kept."""

import itertools
import os
import tempfile
from pathlib import Path
from typing import Final

JOURNALS: Final = ("-wal", "-shm")
"""What SQLite keeps beside a database, by the end of its name."""


def write_whole(path: Path, content: bytes) -> None:
    """Make or replace a file, for its owner only: a kill, a power cut or a full disk leaves the old one or the new one.

    Any thread of any process may write the same file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as draft:
        try:
            draft.write(content)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).replace(path)
        finally:
            Path(draft.name).unlink(missing_ok=True)


def set_aside(path: Path) -> Path:
    """Rename a file, and the journals of a database, to a name that is free; which one. Raises OSError."""
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not any(file.exists() for file in _with_journals(name)))
    for source, target in zip(_with_journals(path), _with_journals(aside), strict=True):
        if source.exists():
            source.rename(target)
    return aside


def _with_journals(path: Path) -> list[Path]:
    return [path, *(path.with_name(path.name + suffix) for suffix in JOURNALS)]
