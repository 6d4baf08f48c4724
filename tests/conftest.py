"""A whole fleet for tests: the real command line, a real broker, every worker as its own process."""

import contextlib
import json
import os
import select
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from mynah_bus import BusSettings
from mynah_bus.tests.processes import free_port

ROOT = Path(__file__).resolve().parents[1]
MYNAH = (sys.executable, "-m", "mynah")
UP_WITHIN_S = 60.0
DAY_MIN = 24 * 60
QUARTER_PAST_THREE_MIN = 15 * 60 + 15


def afternoon() -> timezone:
    """Where it is a quarter past three now: the embedded engines understand each other's word for that."""
    now = datetime.now(UTC)
    return timezone(timedelta(minutes=(QUARTER_PAST_THREE_MIN - 60 * now.hour - now.minute) % DAY_MIN))


@dataclass
class FleetUnderTest:
    """`mynah up` in a home of its own."""

    home: Path
    port: int
    options: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    """More settings for all that belongs to it."""
    zone: timezone = field(default_factory=afternoon)
    lines: list[str] = field(default_factory=list)
    _process: subprocess.Popen[str] | None = None
    _reader: threading.Thread | None = None
    _said: threading.Condition = field(default_factory=threading.Condition)

    @property
    def environment(self) -> dict[str, str]:
        """For every process that belongs to it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MYNAH_")}
        url = f"mqtt://127.0.0.1:{self.port}"
        east = f"TEST-{self.zone.utcoffset(None)}"
        return {**kept, "MYNAH_HOME": str(self.home), "MYNAH_BROKER_URL": url, "TZ": east, **self.extra}

    @property
    def settings(self) -> BusSettings:
        """For a bus of the test's own."""
        return BusSettings(home=self.home, broker_url=f"mqtt://127.0.0.1:{self.port}")

    @property
    def process(self) -> subprocess.Popen[str]:
        """`mynah up` itself."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """Start it and wait until everybody is up."""
        self.launch()
        try:
            self.until_said("Everybody is up", UP_WITHIN_S)
        except TimeoutError:
            self.stop()
            raise

    def until_said(self, words: str, within: float) -> str:
        """Wait for a line with these words; TimeoutError shows what was said instead."""

        def line() -> str | None:
            return next((line for line in self.lines if words in line), None)

        with self._said:
            if not self._said.wait_for(line, within):
                raise TimeoutError(f"{words!r} was not said:\n" + "\n".join(self.lines))
        return str(line())

    def launch(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [*MYNAH, "up", *self.options],
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> int:
        """Stop it as Ctrl-C does; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            assert self._reader is not None
            self._reader.join(5)

    def mynah(self, *words: str, check: bool = True, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command of the command line."""
        done = subprocess.run(
            [*MYNAH, *words],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    def json(self, *words: str) -> Any:
        """What a command prints with --json."""
        return json.loads(self.mynah(*words, "--json").stdout)

    @cached_property
    def guest(self) -> list[str]:
        """The options of a guest for mosquitto's tools."""
        return shlex.split(self.mynah("broker", "args").stdout)

    def pids(self) -> dict[str, int]:
        """The process of each worker that is up."""
        workers = self.json("status")["workers"]
        return {f"{one['name']}/{one['instance']}": one["pid"] for one in workers if one["status"] == "up"}

    def children(self, pid: int | None = None) -> set[int]:
        """All descendants of a process, by default of `mynah up`."""
        parents = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        found: set[int] = set()
        fresh = {pid or self.process.pid}
        while fresh:
            fresh = {child for child, parent in parents.items() if parent in fresh} - found
            found |= fresh
        return found

    def broker(self) -> int:
        """The process of mosquitto."""
        return next(pid for pid in self.children() if Path(f"/proc/{pid}/comm").read_text().strip() == "mosquitto")

    @staticmethod
    def gone(pids: Iterable[int], within: float) -> bool:
        """Whether all these processes have ended within so many seconds; waits for it."""
        until = time.monotonic() + within
        for pid in pids:
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            try:
                poll = select.poll()
                poll.register(handle, select.POLLIN)
                if not poll.poll(max(0.0, until - time.monotonic()) * 1e3):
                    return False
            finally:
                os.close(handle)
        return True

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                with self._said:
                    self.lines.append(line.rstrip())
                    self._said.notify_all()


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetUnderTest]:
    """One fleet for all tests that leave it as it was."""
    under_test = FleetUnderTest(tmp_path_factory.mktemp("home"), free_port())
    under_test.start()
    yield under_test
    family = under_test.children()
    assert under_test.stop() == 0
    assert under_test.gone(family, 0.0)


@pytest.fixture
def make_fleet(tmp_path: Path) -> Iterator[Callable[..., FleetUnderTest]]:
    """Makes fleets that the test starts and may break: `make_fleet(*options, **settings)`."""
    with ExitStack() as stack:

        def make(*options: str, **extra: str) -> FleetUnderTest:
            under_test = FleetUnderTest(tmp_path, free_port(), options, extra)
            stack.callback(lambda: under_test._process is not None and under_test.stop())
            return under_test

        yield make


@pytest.fixture
def own_fleet(make_fleet: Callable[..., FleetUnderTest]) -> FleetUnderTest:
    """A running fleet that the test may break."""
    under_test = make_fleet()
    under_test.start()
    return under_test
