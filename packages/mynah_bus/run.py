"""Runs a worker as a process: logs, signals, exit codes."""

import asyncio
import importlib
import logging
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from mynah_bus import logs
from mynah_bus.errors import MynahError
from mynah_bus.mqtt import ConnectionRefused
from mynah_bus.worker import Worker

log = logging.getLogger(__name__)

EXPECTED: Final = (MynahError, OSError, ValueError)
"""What whoever runs the worker can mend: settings, rights, files, engines."""


def run(build: Callable[[], Worker]) -> None:
    """Build a worker and run it until SIGTERM or SIGINT; a second signal ends it at once.

    Exits with 1 and one sentence when it cannot do its work.
    """
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_live(build))
    except (BaseExceptionGroup, *EXPECTED) as error:
        first: BaseException = error
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        if not isinstance(first, EXPECTED):
            raise
        refused = "The broker does not let us in: " if isinstance(first, ConnectionRefused) else ""
        sys.exit(f"{refused}{first}")


def _loop() -> asyncio.AbstractEventLoop:
    """A loop of uvloop where it is there."""
    if find_spec("uvloop") is None:
        return asyncio.new_event_loop()
    return importlib.import_module("uvloop").new_event_loop()  # type: ignore[no-any-return]  # looked up


async def _live(build: Callable[[], Worker]) -> None:
    worker = build()
    settings = worker.bus.settings
    logs.set_up(settings.log_level, settings.log_format)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        worker.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await worker.run()
