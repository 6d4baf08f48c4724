"""Starts a mosquitto of our own: a user for each role, with the rights that the contracts give it."""

import asyncio
import contextlib
import glob
import logging
import os
import secrets
import shutil
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import orjson

from mynah_bus.child import LARGE_PAGES, die_with_parent, lines
from mynah_bus.errors import MynahError
from mynah_bus.nearby import broker_socket, may_listen
from mynah_bus.settings import CREDENTIALS, kept_passwords
from mynah_contracts import Role
from mynah_contracts.generate.rights import dynamic_security
from mynah_resilience.files import set_aside, write_whole

log = logging.getLogger(__name__)

STATIC: Final = (
    Path(__file__).with_name("mosquitto.conf"),
    Path(__file__).resolve().parents[2] / "mosquitto" / "mosquitto.conf",
)
PLUGINS: Final = (
    "/usr/lib/*/mosquitto_dynamic_security.so",
    "/usr/lib/mosquitto_dynamic_security.so",
    "/usr/local/lib/mosquitto_dynamic_security.so",
    "/opt/homebrew/lib/mosquitto_dynamic_security.so",
)
TAKEN: Final = "Address already in use"
REFUSED: Final = "Couldn't open database"
"""What mosquitto says of a database that it cannot read."""
NOT_TCP: Final = "Warning: Unable to set TCP_NODELAY."
"""What it says of each connection through a socket file, which has no delay to do without."""
STARTS_WITHIN: Final = 10.0
STOPS_WITHIN: Final = 3.0


class BrokerFailed(MynahError):
    """The broker could not be started."""

    code = "broker"


class BrokerDamaged(BrokerFailed):
    """It cannot read what it kept."""


def program() -> str | None:
    """Where mosquitto is installed; Debian puts it where a user's PATH does not look."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def passwords(home: Path) -> dict[Role, str]:
    """The password of every role, made at the first call and kept in `home`, readable by its owner only."""
    kept = kept_passwords(home)
    missing = [role for role in Role if role.value not in kept]
    if missing:
        kept |= {role.value: secrets.token_urlsafe(24) for role in missing}
        write_whole(home / CREDENTIALS, orjson.dumps(kept, option=orjson.OPT_INDENT_2))
    return {role: kept[role.value] for role in Role}


class Mosquitto:
    """A mosquitto process; entered, it answers; left, it is gone. Its state lies in `home/mosquitto`."""

    def __init__(self, home: Path, *, port: int = 1883, host: str = "127.0.0.1", base: str = "mynah") -> None:
        self._home = home
        self._folder = home / "mosquitto"
        self._host = host
        self._port = port
        self._base = base
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[None] | None = None
        self._last_error = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"mqtt://{self._host}:{self._port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    async def __aenter__(self) -> Self:
        """Start, and wait until it listens; BrokerFailed says why it does not."""
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start it, once more with empty state when what it kept is damaged."""
        try:
            await self._start()
        except BrokerDamaged:
            damaged = set_aside(self._folder / "mosquitto.db")
            await self._start()
            log.warning("What the broker had kept was damaged; it started empty, the old file is %s", damaged)

    async def stop(self) -> None:
        """End the process, with SIGKILL if it has to be."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOPS_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        assert self._log is not None
        await self._log
        self._process = None

    def kill(self) -> None:
        """Let it crash, as a fault test does."""
        assert self._process is not None
        self._process.kill()

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        assert self._process is not None
        return await self._process.wait()

    async def _start(self) -> None:
        executable = program()
        if executable is None:
            raise BrokerFailed("mosquitto is not installed: apt install mosquitto, or give MYNAH_BROKER_URL.")
        configuration = self._configure()
        self._last_error = ""
        self._process = await asyncio.create_subprocess_exec(
            executable,
            "-c",
            str(configuration),
            env={**LARGE_PAGES, **os.environ},
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        listening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = asyncio.create_task(self._read_log(self._process, listening), name="mosquitto-log")
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            try:
                async with asyncio.timeout(STARTS_WITHIN):
                    await listening
            except TimeoutError as error:
                raise BrokerFailed(f"mosquitto did not start within {STARTS_WITHIN:g} s: {self._last_error}") from error
            undo.pop_all()

    async def _read_log(self, process: asyncio.subprocess.Process, listening: asyncio.Future[None]) -> None:
        assert process.stderr is not None
        async for said in lines(process.stderr):
            line = said.partition(": ")[2] or said
            if line.startswith("mosquitto version") and line.endswith("running") and not listening.done():
                listening.set_result(None)
            elif line.startswith(("Error", "Warning")) and line != NOT_TCP:
                self._last_error = line
                log.warning("mosquitto: %s", line)
            else:
                log.debug("mosquitto: %s", line)
        code = await process.wait()
        if not listening.done():
            listening.set_exception(self._failure(code))

    def _failure(self, code: int) -> BrokerFailed:
        """Why it ended before it listened."""
        if TAKEN in self._last_error:
            return BrokerFailed(f"Another program listens at {self._host}:{self._port} already.")
        kind = BrokerDamaged if REFUSED in self._last_error else BrokerFailed
        return kind(f"mosquitto ended with {code}: {self._last_error or 'no reason given'}")

    def _configure(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        rights = self._folder / "rights.json"
        write_whole(rights, orjson.dumps(dynamic_security(self._base, passwords(self._home))))
        static = next((path for path in STATIC if path.is_file()), None)
        plugin = next((found for pattern in PLUGINS for found in sorted(glob.glob(pattern))), None)  # noqa: PTH207  # absolute patterns
        if static is None:
            raise BrokerFailed("mosquitto.conf is missing from this installation.")
        if plugin is None:
            raise BrokerFailed("mosquitto's dynamic-security plugin is missing; Debian's mosquitto package has it.")
        near = broker_socket(self._home, self._port)
        options = [
            static.read_text(encoding="utf-8"),
            f"listener {self._port} {self._host}",
            *([f"listener 0 {near}"] if may_listen(near) else ()),
            f"persistence_location {self._folder}/",
            f"plugin {plugin}",
            f"plugin_opt_config_file {rights}",
            "log_type information",  # says when it listens
        ]
        if os.geteuid() == 0:
            options.append("user root")
        path = self._folder / "mosquitto.conf"
        path.write_text("\n".join(options) + "\n", encoding="utf-8")
        return path
