"""The files of a store after its process was killed."""

import shutil
from pathlib import Path

from mynah_tasks.stores.sqlite import SqliteStore


def as_after_a_crash(path: Path) -> SqliteStore:
    """A store on a copy of the file as it is this moment, which is what kill -9 would leave."""
    copy = path.with_name(f"{path.name}.copy")
    for suffix in ("", "-wal"):
        if Path(f"{path}{suffix}").exists():
            shutil.copy(f"{path}{suffix}", f"{copy}{suffix}")
    return SqliteStore(copy)
