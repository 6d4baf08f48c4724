"""`mynah listen`: what goes on in the fleet, live."""

import json
import time
from contextlib import ExitStack

from rich.console import Console
from rich.live import Live

from mynah.connection import guest
from mynah.terminal import Terminal
from mynah.view import FOLLOWED, View
from mynah_bus import Bus, BusSettings, Received
from mynah_bus.mqtt import Address
from mynah_contracts import CATALOGUE


async def listen(settings: BusSettings, *, raw: bool, as_json: bool) -> None:
    """Show what happens, until interrupted: the conversation, or every message but sound."""
    console = Terminal()
    async with guest(settings) as bus:
        if raw or as_json:
            await _messages(bus, console, with_topics=raw)
        else:
            await _conversation(bus, console)


async def _messages(bus: Bus, console: Console, *, with_topics: bool) -> None:
    kinds = tuple(kind for kind in CATALOGUE.values() if kind.contract.topic and kind.contract.body is None)
    async with bus.listening(*kinds) as heard:
        async for received in heard:
            topic = f"{bus.base}/{received.message.topic} " if with_topics else ""
            console.out(f"{topic}{_as_json(received)}", highlight=False)


def _as_json(received: Received) -> str:
    envelope = received.envelope.model_dump(exclude_none=True, exclude={"data"})
    return json.dumps(
        {**envelope, "type": received.message.contract.name, "data": received.message.header()}, ensure_ascii=False
    )


async def _conversation(bus: Bus, console: Console) -> None:
    """Print what is over, and below it, on a terminal, what goes on."""
    address = Address.parse(bus.settings.broker_url)
    up = sum(health.status != "down" for health in bus.fleet.workers())
    workers = "1 worker is" if up == 1 else f"{up or 'no'} workers are"
    console.print(f"Listening at {address.host}:{address.port}, where {workers} up; Ctrl-C ends it.\n", style="dim")
    view = View(console, lambda: time.strftime("%H:%M:%S"), bus.fleet.workers())

    with ExitStack() as stack:
        live = stack.enter_context(Live(console=console, auto_refresh=False, transient=True))

        def back() -> None:
            told = view.lost()
            live.update(view.now())
            console.print(told)

        bus.on_reconnect.add(back)
        stack.callback(bus.on_reconnect.discard, back)
        shown = view.now()
        async with bus.listening(*FOLLOWED) as heard:
            async for received in heard:
                over = [*view.hear(received)]
                now = view.now()
                if over or now != shown:
                    live.update(now, refresh=not over)
                    shown = now
                for told in over:
                    console.print(told)
