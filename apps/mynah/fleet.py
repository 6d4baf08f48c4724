"""The processes of `mynah up`: started, prefixed, started again when they die, stopped together."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mynah_bus.child import die_with_parent
from mynah_contracts import Role

log = logging.getLogger(__name__)

MODULES: Final[Mapping[Role, str]] = {
    Role.MEMORY: "memory_worker",
    Role.ROUTER: "router_worker",
    Role.LLM: "llm_worker",
    Role.TTS: "tts_worker",
    Role.STT: "stt_worker",
    Role.SATELLITE: "satellite",
}
"""What runs for each role."""

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
STEADY_AFTER_S: Final = 30.0
"""A process that lived this long did not crash at its start: the next pause is short again."""
LOOP_OF: Final = 5
GRACE_S: Final = 8.5


@dataclass(slots=True)
class Spec:
    """A process to keep running."""

    role: Role
    instance: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.role.value}/{self.instance}"


class Keeper:
    """Keeps one process running as long as `keep` does."""

    def __init__(self, spec: Spec, say: Callable[[str, str], None]) -> None:
        self._spec = spec
        self._say = say
        self._process: asyncio.subprocess.Process | None = None
        self._deaths: deque[float] = deque(maxlen=LOOP_OF)
        self._last_words = ""

    async def keep(self) -> None:
        """Run it, and again whenever it ends; cancelled, end it."""
        pause = FIRST_PAUSE_S
        while True:
            began = time.monotonic()
            code = await self._once()
            now = time.monotonic()
            pause = FIRST_PAUSE_S if now - began > STEADY_AFTER_S else pause
            self._deaths.append(now)
            looping = len(self._deaths) == LOOP_OF and now - self._deaths[0] < 2 * STEADY_AFTER_S
            why = f" It dies again and again; its last words: {self._last_words}" if looping else ""
            self._say(self._spec.name, f"ended with {_end(code)}; starting it again in {pause:.2g} s.{why}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULES[self._spec.role],
            env={**os.environ, **self._spec.environment, "MYNAH_INSTANCE": self._spec.instance},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            assert process.stdout is not None
            async for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip()
                self._last_words = line or self._last_words
                self._say(self._spec.name, line)
            return await process.wait()
        finally:
            await _end_process(process)


async def _end_process(process: asyncio.subprocess.Process) -> None:
    """Ask it to end, and make it when it does not."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(GRACE_S):
            await process.stdout.read()
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _end(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
