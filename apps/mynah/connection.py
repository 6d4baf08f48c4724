"""How a command gets onto the bus, and what it says when it does not."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from typing import Final, TypeVar

from mynah.errors import CommandFailed
from mynah_bus import Bus, BusSettings
from mynah_bus.mqtt import Address, ConnectionRefused
from mynah_bus.nearby import LOCAL
from mynah_contracts import Role

T = TypeVar("T")

CONNECT_S: Final = 5.0
RESTART_S: Final = 1.0
"""How long a broker that nobody hears may take to come back."""
WRONG_PASSWORD: Final = frozenset({0x86, 0x87})
"""Reason codes of MQTT 5: bad user name or password, not authorized."""


@asynccontextmanager
async def guest(
    settings: BusSettings, prepare: Callable[[Bus], None] = lambda _: None, *, silence: str = ""
) -> AsyncIterator[Bus]:
    """A guest's bus, connected; CommandFailed says why it cannot be, and what to do.

    What `prepare` routes has been told all that is retained. `silence` is what to say when no broker answers.
    """
    bus = Bus(Role.GUEST, settings)
    prepare(bus)
    async with connected(_ready(bus), settings, Role.GUEST, silence):
        yield bus


@asynccontextmanager
async def connected(
    joining: AbstractAsyncContextManager[T], settings: BusSettings, role: Role, silence: str = ""
) -> AsyncIterator[T]:
    """Enter what joins the bus as a role; CommandFailed says why it cannot be. What fails later is raised as it is."""
    async with AsyncExitStack() as stack:
        with _explained(settings, role, silence):
            async with asyncio.timeout(await _patience(settings)):
                joined = await stack.enter_async_context(joining)
        yield joined


async def listens(host: str, port: int) -> bool:
    """Whether somebody takes connections there."""
    try:
        async with asyncio.timeout(RESTART_S):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


@asynccontextmanager
async def _ready(bus: Bus) -> AsyncIterator[None]:
    async with bus:
        await bus.ready()
        yield


async def _patience(settings: BusSettings) -> float:
    """Seconds that connecting may take: few when nobody listens there."""
    address = Address.parse(settings.broker_url)
    return CONNECT_S if await listens(address.host, address.port) else RESTART_S


@contextmanager
def _explained(settings: BusSettings, role: Role, silence: str) -> Iterator[None]:
    """Turn what keeps a role from its broker into CommandFailed, with what to do about it."""
    address = Address.parse(settings.broker_url)
    where = f"{address.host}:{address.port}"
    try:
        yield
    except ConnectionRefused as error:
        if error.code not in WRONG_PASSWORD:
            raise
        raise CommandFailed(f"The broker at {where} does not let us in: {_key(settings, address, role)}.") from error
    except (ConnectionError, TimeoutError) as error:
        remedy = "`mynah up` starts one." if address.host in LOCAL and not address.tls else "is MYNAH_BROKER_URL right?"
        raise CommandFailed(silence or f"No broker answers at {where}; {remedy}") from error


def _key(settings: BusSettings, address: Address, role: Role) -> str:
    """What is wrong with the password that was shown."""
    if address.password is not None or settings.broker_username or settings.broker_password.get_secret_value():
        return "look at the user and the password that MYNAH_BROKER_… gives"
    if settings.broker_password_file is not None:
        return f"the password in {settings.broker_password_file} is not that of its user {role.value}"
    if settings.credentials(role) == (None, None):
        return f"{settings.home} holds no password; set MYNAH_HOME to the home of the running fleet"
    return f"the password in {settings.home} is not its own; set MYNAH_HOME to the home of the running fleet"
