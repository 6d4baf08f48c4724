"""Runs a worker as a process: logs, signals, exit codes."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Final

from mynah_bus import logs
from mynah_bus.errors import MynahError
from mynah_bus.offload import watchdog
from mynah_bus.worker import Worker

log = logging.getLogger(__name__)

EXPECTED: Final = (MynahError, OSError, ValueError)
"""What whoever runs the worker can mend: settings, rights, files, engines."""
STOPS_WITHIN: Final = 9.0
"""Seconds after which a worker that stops is made to: a thread that hangs would keep the process for ever."""

OWNER_ONLY: Final = 0o077
"""The umask of what keeps conversations and passwords."""


def run(build: Callable[[], Worker]) -> None:
    """Build a worker and run it until SIGTERM or SIGINT; a second signal ends it at once.

    What it keeps is for its owner only. Exits with 1 and one sentence when it cannot do its work, with EXIT_HUNG when
    it does not stop in time.
    """
    os.umask(OWNER_ONLY)
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_live(build))
    except EXPECTED as error:
        sys.exit(str(error))


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
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        for number in signals:
            loop.remove_signal_handler(number)
        watchdog.expect_end("Stopping", STOPS_WITHIN)
        worker.stop()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        await worker.run()
    finally:
        watchdog.expect_end("Stopping", STOPS_WITHIN)
