"""Commands that look at the fleet: listen, status."""

import json
import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from mynah_bus import Bus, BusSettings, Received
from mynah_contracts import (
    CATALOGUE,
    Failed,
    Health,
    LlmResponse,
    PartialTranscript,
    PlaybackStatus,
    Role,
    Say,
    Transcript,
    TurnEvent,
    WakeEvent,
)

CONNECT_S = 5.0
FOLLOWED = (WakeEvent, PartialTranscript, Transcript, LlmResponse, Say, PlaybackStatus, TurnEvent, Failed, Health)
BAR = 40


async def status(settings: BusSettings) -> list[dict[str, Any]]:
    """Every worker, as its health message says."""
    async with Bus(Role.GUEST, settings) as bus:
        await bus.ready(CONNECT_S)
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
                "breakers": health.breakers,
                "counters": health.counters,
            }
            for health in bus.fleet.workers()
        ]


def status_table(workers: list[dict[str, Any]]) -> Table:
    """The fleet as a table."""
    table = Table(box=None, pad_edge=False)
    for column in ("worker", "status", "engine", "pid", "up", "busy", "waiting", "longest stall"):
        table.add_column(
            column, justify="right" if column in {"pid", "up", "busy", "waiting", "longest stall"} else "left"
        )
    colours = {"up": "green", "degraded": "yellow", "starting": "cyan", "down": "red"}
    for worker in workers:
        table.add_row(
            f"{worker['name']}/{worker['instance']}",
            Text(worker["status"], colours[worker["status"]]),
            worker["engine"] or "-",
            str(worker["pid"]),
            f"{worker['up_s']:.0f} s",
            str(worker["in_flight"]),
            str(worker["queued"]),
            f"{worker['stall_max_ms']:.0f} ms",
        )
    return table


async def listen(settings: BusSettings, *, raw: bool, as_json: bool) -> None:
    """Show what happens, until interrupted."""
    console = Console(highlight=False, soft_wrap=True)
    kinds = tuple(kind for kind in CATALOGUE.values() if kind.contract.topic and kind.contract.body is None)
    async with Bus(Role.GUEST, settings) as bus:
        await bus.ready(CONNECT_S)
        async with bus.listening(*(kinds if raw or as_json else FOLLOWED)) as heard:
            if not as_json:
                console.print("Listening; Ctrl-C ends it.", style="dim")
            view = View()
            async for received in heard:
                if as_json or raw:
                    console.out(_raw(received), highlight=False)
                else:
                    for line in view.lines(received):
                        console.print(line)


def _raw(received: Received) -> str:
    envelope = received.envelope.model_dump(exclude_none=True, exclude={"data"})
    return json.dumps({**envelope, "type": received.message.contract.name, "data": received.message.header()})


class View:
    """Turns as people follow them: one line for what somebody says, one for each answer, a bar of where time went."""

    def __init__(self) -> None:
        self._fleet: dict[str, str] = {}

    def lines(self, received: Received) -> Iterator[Text]:
        """What a message adds to the picture; nothing for most."""
        message = received.message
        when = time.strftime("%H:%M:%S ")
        match message:
            case Health():
                yield from self._health(when, message)
            case WakeEvent(type="wake"):
                yield Text.assemble((when, "dim"), ("● ", "cyan"), f"{message.satellite} listens ({message.cause})")
            case PartialTranscript():
                yield Text.assemble((when, "dim"), ("… ", "cyan"), (message.text, "dim"))
            case Transcript():
                said = message.text or "(nothing that could be understood)"
                about = f"  {message.confidence:.0%} {message.engine} {message.ms:.0f} ms"
                yield Text.assemble((when, "dim"), ("▶ ", "bold cyan"), (said, "bold"), (about, "dim"))
            case Say():
                yield Text.assemble((when, "dim"), ("◀ ", "bold green"), (message.text, "green"))
            case Failed():
                yield Text.assemble(
                    (when, "dim"), ("✗ ", "bold red"), f"{message.message} ({message.code}, {message.about})"
                )
            case TurnEvent() if message.steps:
                yield _waterfall(when, message)

    def _health(self, when: str, health: Health) -> Iterator[Text]:
        name = f"{health.service.value}/{health.instance}"
        before = self._fleet.get(name)
        self._fleet[name] = health.status
        if before is not None and before != health.status:
            colour = "red" if health.status == "down" else "green"
            yield Text.assemble((when, "dim"), ("■ ", colour), f"{name} is {health.status}. {health.reason}")


def _waterfall(when: str, event: TurnEvent) -> Text:
    """The steps of a turn, as long as they took."""
    colours = ("blue", "cyan", "magenta", "green", "yellow")
    line = Text.assemble((when, "dim"), "  ")
    total = sum(step.ms for step in event.steps) or 1.0
    for index, step in enumerate(event.steps):
        line.append("█" * max(1, round(BAR * step.ms / total)), colours[index % len(colours)])
    words = ", ".join(f"{step.name} {step.ms:.0f}" for step in event.steps)
    ending = {"done": "", "cancelled": " cancelled", "failed": f" {event.error}"}[event.phase]
    line.append(f" {event.total_ms:.0f} ms: {words}", "dim")
    line.append(ending, "red")
    return line
