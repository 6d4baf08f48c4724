"""A real redis-server for tests: on a free port, with its files in a folder, killed and started again at will."""

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

READY = "Ready to accept connections"


class RedisProcess:
    """A server; `options` are added to its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[str] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("redis-server is not installed")
        where = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        self._process = subprocess.Popen([program, *where, *self._options], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if READY in line:
                return
        pytest.fail("redis-server did not start")

    def kill(self) -> None:
        """End it like a power failure of its process."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def hang(self) -> None:
        """Have it answer nobody, without ending it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it."""
        assert self._process is not None
        self._process.terminate()
        self._process.communicate()


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisProcess]:
    """A server that keeps everything, unless `options` say otherwise."""
    server = RedisProcess(folder, *(options or ("--appendonly", "yes")))
    server.start()
    try:
        yield server
    finally:
        server.stop()
