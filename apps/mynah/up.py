"""`mynah up`: a broker and every worker on this machine, until it is told to stop."""

import asyncio
import fcntl
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

from mynah.board import Board
from mynah.connection import guest, listens
from mynah.errors import CommandFailed
from mynah.fleet import ALARM, MODULES, Keeper, Pauses, Spec, ending
from mynah.proxy import speak_for
from mynah.rollcall import RollCall, rival
from mynah_bus import Bus, BusSettings
from mynah_bus.background import background
from mynah_bus.mosquitto import BrokerFailed, Mosquitto, passwords
from mynah_bus.mqtt import Address
from mynah_bus.nearby import LOCAL
from mynah_bus.run import OWNER_ONLY
from mynah_contracts import Health, Role
from mynah_resilience.files import write_whole

BROKER_PAUSE_S = 2.0
"""The longest time that nobody hears anybody, because the broker has died again and again."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """When to stop: at a first signal in order, at a second one at once, by cancelling whoever made this."""

    def __init__(self) -> None:
        self._wanted = asyncio.Event()
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.ask)

    def ask(self) -> None:
        """Stop, or stop at once."""
        if self._wanted.is_set() and self._task is not None:
            self._task.cancel()
        self._wanted.set()

    async def wanted(self) -> None:
        """Wait until somebody wants it."""
        await self._wanted.wait()


async def up(settings: BusSettings, scale: Mapping[Role, int]) -> None:
    """Run the fleet until SIGINT or SIGTERM; what it keeps is for its owner only."""
    os.umask(OWNER_ONLY)
    stop = Stop()
    board = Board(stop.ask)
    began = time.monotonic()
    with _only_one(settings.home):
        async with (
            _broker(settings, board) as silence,
            guest(settings, silence=silence) as bus,
            _keeping(_free(_specs(settings, scale), bus), board, partial(speak_for, settings)),
        ):
            async with _calling(bus, RollCall(board.say, sum(scale.values()), began, _try_this())):
                await stop.wanted()
            board.say("mynah", "Stopping; Ctrl-C again ends it at once.")
    board.say("mynah", "Stopped.")


async def broker_alone(settings: BusSettings, host: str, port: int, secrets: Path | None) -> None:
    """Run a broker; each role that has a folder in `secrets` finds its password there."""
    stop = Stop()
    board = Board(stop.ask)
    for role, password in passwords(settings.home).items():
        if secrets is not None and (secrets / role.value).is_dir():
            write_whole(secrets / role.value / "password", password.encode())
    async with _mosquitto(settings, board, host, port):
        board.say("broker", f"mosquitto listens on {host}:{port}.")
        await stop.wanted()


@asynccontextmanager
async def _broker(settings: BusSettings, board: Board) -> AsyncIterator[str]:
    """Start a broker where one is wanted on this machine and nobody listens; else join the one that is there.

    Gives what to say when it does not answer. CommandFailed when it would need TLS, which ours does not speak.
    """
    address = Address.parse(settings.broker_url)
    where = f"{address.host}:{address.port}"
    if address.host not in LOCAL:
        board.say("mynah", f"Joining the broker at {where}.")
        yield f"No broker answers at {where}; is MYNAH_BROKER_URL right?"
        return
    if await listens(address.host, address.port):
        board.say("mynah", f"Something listens at {where} already; joining it.")
        yield f"What listens at {where} does not answer as a broker does; set MYNAH_BROKER_URL to another port."
        return
    if address.tls:
        raise CommandFailed(
            f"No broker listens at {where}, and `mynah up` starts one without TLS only: "
            f"start yours, or set MYNAH_BROKER_URL to mqtt://{where}."
        )
    host = "127.0.0.1" if address.host == "localhost" else address.host
    async with _mosquitto(settings, board, host, address.port):
        board.say("broker", f"mosquitto listens on {where}; `mynah broker args` prints a guest's options.")
        yield f"The broker at {where} does not answer."


@asynccontextmanager
async def _mosquitto(settings: BusSettings, board: Board, host: str, port: int) -> AsyncIterator[None]:
    """A broker of our own, while the block lasts: started again whenever it ends."""
    async with Mosquitto(settings.home, port=port, host=host, base=settings.base) as broker, background() as tasks:
        reviving = tasks.create_task(_revive(broker, board))
        yield
        reviving.cancel()


async def _revive(broker: Mosquitto, board: Board) -> None:
    pauses = Pauses(BROKER_PAUSE_S)
    while True:
        began = time.monotonic()
        code = await broker.ended()
        pause = pauses.after(time.monotonic() - began)
        board.say("broker", f"ended with {ending(code)}; starting it again in {pause:.2g} s.", ALARM)
        await broker.stop()
        while not await _started(broker, board, pause):
            pause = pauses.after(0.0)


async def _started(broker: Mosquitto, board: Board, pause: float) -> bool:
    await asyncio.sleep(pause)
    try:
        await broker.start()
    except BrokerFailed as error:
        board.say("broker", f"{error} Trying again.", ALARM)
        return False
    board.say("broker", "mosquitto listens again.")
    return True


@asynccontextmanager
async def _calling(bus: Bus, roll: RollCall) -> AsyncIterator[None]:
    """Say who comes and who goes, while the block lasts."""

    async def call() -> None:
        async for received in heard:
            assert isinstance(received.message, Health)
            roll.note(received.message)

    bus.on_reconnect.add(roll.reconnected)
    try:
        async with bus.listening(Health) as heard, background() as tasks:
            calling = tasks.create_task(call())
            for health in bus.fleet.workers():
                roll.note(health)
            yield
            calling.cancel()
    finally:
        bus.on_reconnect.discard(roll.reconnected)


@asynccontextmanager
async def _keeping(
    specs: list[Spec], board: Board, speak: Callable[[Spec, str], Awaitable[None]]
) -> AsyncIterator[None]:
    """Keep the processes running while the block lasts."""
    async with background() as tasks:
        keeping = [tasks.create_task(Keeper(spec, board.say, speak).keep(), name=spec.name) for spec in specs]
        yield
        for keeper in keeping:
            keeper.cancel()


def _specs(settings: BusSettings, scale: Mapping[Role, int]) -> list[Spec]:
    environment = {
        "MYNAH_HOME": str(settings.home),
        "MYNAH_BROKER_URL": settings.broker_url,
        "GOMP_SPINCOUNT": "0",  # small models wait for work, they do not spin for it
    }
    return [Spec(role, str(number), environment) for role in MODULES for number in range(1, scale.get(role, 1) + 1)]


def _free(specs: list[Spec], bus: Bus) -> list[Spec]:
    """These, when nobody at the broker has one of their names; else CommandFailed says who."""
    other = rival({(spec.role, spec.instance) for spec in specs}, bus.fleet.workers())
    if other is not None:
        raise CommandFailed(
            f"{other.service.value}/{other.instance} is up at this broker already (process {other.pid} on "
            f"{other.host}): stop its fleet first, or set MYNAH_BROKER_URL to another broker."
        )
    return specs


def _try_this() -> str:
    """A first command, as it has to be typed here."""
    called = Path(sys.argv[0])
    name = "mynah" if shutil.which("mynah") else os.path.relpath(called) if called.name == "mynah" else str(called)
    return f'{name} ask "what time is it"'


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
