"""`mynah up`: a broker and every worker on this machine, until it is told to stop."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from mynah.errors import CommandFailed
from mynah.fleet import MODULES, Keeper, Spec
from mynah_bus import Bus, BusSettings
from mynah_bus.mosquitto import Mosquitto, passwords, write_private
from mynah_bus.mqtt import Address
from mynah_contracts import Health, Role

log = logging.getLogger(__name__)

LOCAL: Final = frozenset({"127.0.0.1", "localhost", "::1"})
COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")


class Board:
    """What is printed while the fleet runs: one prefixed line after the other."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._width = 12

    def say(self, who: str, line: str) -> None:
        """Print a line of one process."""
        colour = COLOURS[sum(map(ord, who.partition("/")[0])) % len(COLOURS)]
        self._console.print(Text.assemble((f"{who:<{self._width}} │ ", colour), line))


async def up(settings: BusSettings, scale: Mapping[Role, int]) -> None:
    """Run the fleet until SIGINT or SIGTERM."""
    board = Board()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    began = time.monotonic()
    with _only_one(settings.home):
        async with _broker(settings, board), _keeping(_specs(settings, scale), board):
            async with Bus(Role.GUEST, settings) as bus:
                telling = asyncio.create_task(_tell(bus, board, scale, began), name="tell")
                await stopping.wait()
                telling.cancel()
            board.say("mynah", "Stopping.")
    board.say("mynah", "Stopped.")


async def broker_alone(settings: BusSettings, host: str, port: int, secrets: Path | None) -> None:
    """Run a broker; each role that has a folder in `secrets` finds its password there."""
    board = Board()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    for role, password in passwords(settings.home).items():
        if secrets is not None and (secrets / role.value).is_dir():
            write_private(secrets / role.value / "password", password.encode())
    async with Mosquitto(settings.home, port=port, host=host, base=settings.base) as broker:
        board.say("broker", f"mosquitto listens on {host}:{port}.")
        reviving = asyncio.create_task(_revive(broker, board), name="broker")
        await stopping.wait()
        reviving.cancel()


async def _tell(bus: Bus, board: Board, scale: Mapping[Role, int], began: float) -> None:
    """Say who comes and who goes, and when everybody is up."""
    told: dict[str, str] = {}
    wanted = sum(scale.values())
    complete = False
    async with bus.listening(Health) as heard:
        for health in bus.fleet.workers():
            complete = _tell_one(health, told, board, wanted, began, complete=complete)
        async for received in heard:
            message = received.message
            assert isinstance(message, Health)
            complete = _tell_one(message, told, board, wanted, began, complete=complete)


def _tell_one(health: Health, told: dict[str, str], board: Board, wanted: int, began: float, *, complete: bool) -> bool:
    name = f"{health.service.value}/{health.instance}"
    if told.get(name) == health.status:
        return complete
    told[name] = health.status
    if health.status != "down" or name in told:
        with_engine = f" with {health.engine}" if health.engine and health.status == "up" else ""
        board.say(name, f"{health.status}{with_engine}{f': {health.reason}' if health.reason else ''}")
    if not complete and sum(status in {"up", "degraded"} for status in told.values()) >= wanted:
        board.say("mynah", f'Everybody is up after {time.monotonic() - began:.1f} s. Try: mynah ask "what time is it"')
        return True
    return complete


def _specs(settings: BusSettings, scale: Mapping[Role, int]) -> list[Spec]:
    environment = {
        "MYNAH_HOME": str(settings.home),
        "MYNAH_BROKER_URL": settings.broker_url,
        "GOMP_SPINCOUNT": "0",  # small models wait for work, they do not spin for it
    }
    return [Spec(role, str(number), environment) for role in MODULES for number in range(1, scale.get(role, 1) + 1)]


@asynccontextmanager
async def _keeping(specs: list[Spec], board: Board) -> AsyncIterator[None]:
    """Keep the processes running while the block lasts."""
    async with asyncio.TaskGroup() as tasks:
        keeping = [tasks.create_task(Keeper(spec, board.say).keep(), name=spec.name) for spec in specs]
        try:
            yield
        finally:
            for keeper in keeping:
                keeper.cancel()


@asynccontextmanager
async def _broker(settings: BusSettings, board: Board) -> AsyncIterator[None]:
    """Start a broker where one is wanted on this machine and nobody listens; else join the one that is there."""
    address = Address.parse(settings.broker_url)
    if address.host not in LOCAL or _listens(address.host, address.port):
        board.say("mynah", f"Joining the broker at {address.host}:{address.port}.")
        yield
        return
    host = "127.0.0.1" if address.host == "localhost" else address.host
    async with Mosquitto(settings.home, port=address.port, host=host, base=settings.base) as broker:
        board.say(
            "broker", f"mosquitto listens on {host}:{address.port}; `mynah broker args` prints a guest's options."
        )
        reviving = asyncio.create_task(_revive(broker, board), name="broker")
        try:
            yield
        finally:
            reviving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reviving


async def _revive(broker: Mosquitto, board: Board) -> None:
    """Start the broker again whenever it ends."""
    while True:
        code = await broker.ended()
        board.say("broker", f"ended with {code}; starting it again.")
        await broker.stop()
        await broker.start()


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    """Hold the lock of this home; CommandFailed when another fleet has it, or when nothing can be written there."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (home / "up.lock").open("a+")
    except OSError as error:
        raise CommandFailed(
            f"{home} cannot be written ({error.strerror}); set MYNAH_HOME to a folder of yours."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise CommandFailed(f"Mynah is already up here, with process {lock.read().strip() or '?'}.") from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def _listens(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
