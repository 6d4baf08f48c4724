"""`mynah status`: who is there, and how they are."""

import time
from typing import Any, Final

from rich.table import Table
from rich.text import Text

from mynah.connection import guest
from mynah.visitor import is_resident
from mynah_bus import BusSettings

COLOURS: Final = {"up": "green", "degraded": "yellow", "starting": "cyan", "down": "red"}
NARROW: Final = 60


async def status(settings: BusSettings) -> list[dict[str, Any]]:
    """Every worker, as its health message says."""
    async with guest(settings) as bus:
        now = time.time()
        return [
            {
                "name": health.service.value,
                "instance": health.instance,
                "status": health.status,
                "reason": health.reason,
                "pid": health.pid,
                "host": health.host,
                "engine": health.engine,
                "model": health.model,
                "version": health.version,
                "up_s": round(now - health.started_at, 1) if health.status != "down" else 0.0,
                "in_flight": health.in_flight,
                "queued": health.queued,
                "stall_max_ms": health.stall_max_ms,
                "stall_p99_ms": health.stall_p99_ms,
                "breakers": health.breakers,
                "counters": health.counters,
            }
            for health in bus.fleet.workers()
            if is_resident(health)
        ]


def status_table(workers: list[dict[str, Any]], width: int) -> Table | str:
    """The fleet as a table, of as many columns as there is room for."""
    if not workers:
        return "There is no worker; `mynah up` starts the fleet."
    table = Table(box=None, pad_edge=False)
    table.add_column("worker", no_wrap=True)
    table.add_column("status")
    table.add_column("engine")
    if width >= NARROW:
        for column in ("pid", "up for", "busy", "waiting", "longest stall"):
            table.add_column(column, justify="right", no_wrap=True)
    for worker in workers:
        is_down = worker["status"] == "down"
        reason = f": {worker['reason']}" if worker["reason"] else ""
        cells: list[Text | str] = [
            f"{worker['name']}/{worker['instance']}",
            Text(f"{worker['status']}{reason}", COLOURS[worker["status"]]),
            worker["engine"] or "-",
        ]
        if width >= NARROW:
            cells += [
                "-" if is_down else str(worker["pid"]),
                "-" if is_down else _span(worker["up_s"]),
                str(worker["in_flight"]),
                str(worker["queued"]),
                f"{worker['stall_max_ms']:.0f} ms",
            ]
        table.add_row(*cells)
    return table


def _span(seconds: float) -> str:
    """How long, in the unit that says it shortest."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
