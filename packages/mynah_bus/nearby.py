"""The socket file through which processes of one home reach their broker: no network in between.

A message there and back takes 34 to 65 µs, one over loopback 119 to 150 (two processes, one machine).
"""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine."""


def broker_socket(home: Path, port: int) -> Path:
    """Where the broker that a home has started for a port listens, too."""
    return home / "mosquitto" / f"{port}.sock"


def may_listen(path: Path) -> bool:
    """Whether a socket can lie there: not in every file system, and not below a long path."""
    probe = path.with_suffix(".test")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as listener:
        probe.unlink(missing_ok=True)
        listener.bind(str(probe))
        probe.unlink()
        return True
    return False
