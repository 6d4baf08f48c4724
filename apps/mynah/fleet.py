"""The processes of `mynah up`: started, prefixed, started again when they die, stopped together."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from mynah_bus.child import LARGE_PAGES, die_with_parent, lines
from mynah_bus.run import STOPS_WITHIN
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
LOOP_OF: Final = 3
ALARM: Final = "red"
GRACE_S: Final = STOPS_WITHIN + 0.5
"""A worker that does not stop in time ends itself; after that it is killed."""


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


class Pauses:
    """How long to wait before something that ended is started again: longer each time, until it has lived a while."""

    def __init__(self, longest: float = LONGEST_PAUSE_S) -> None:
        self._longest = longest
        self._next = FIRST_PAUSE_S

    def after(self, lived_s: float) -> float:
        """Seconds to wait when it has lived so long."""
        pause = FIRST_PAUSE_S if lived_s > STEADY_AFTER_S else self._next
        self._next = min(pause * 2, self._longest)
        return pause


class Keeper:
    """Keeps one process running as long as `keep` does.

    `say` is told who says what, and in which style; `speak_for` of a process that dies again and again, and why.
    """

    def __init__(
        self,
        spec: Spec,
        say: Callable[[str, str, str], None],
        speak_for: Callable[[Spec, str], Awaitable[None]],
    ) -> None:
        self._spec = spec
        self._say = say
        self._speak_for = speak_for
        self._deaths: deque[float] = deque(maxlen=LOOP_OF)
        self._last_words = ""

    async def keep(self) -> None:
        """Run it, and again whenever it ends; cancelled, end it; cancelled twice, kill it."""
        pauses = Pauses()
        while True:
            began = time.monotonic()
            code = await self._once()
            now = time.monotonic()
            self._deaths.append(now)
            looping = len(self._deaths) == LOOP_OF and now - self._deaths[0] < 2 * STEADY_AFTER_S
            why = f"It dies again and again; its last words: {self._last_words}" if looping else ""
            pause = pauses.after(now - began)
            words = f"ended with {ending(code)}; starting it again in {pause:.2g} s. {why}"
            self._say(self._spec.name, words.rstrip(), ALARM)
            if looping:
                await self._speak_for(self._spec, why)
            await asyncio.sleep(pause)

    async def _once(self) -> int:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            MODULES[self._spec.role],
            env={**LARGE_PAGES, **os.environ, **self._spec.environment, "MYNAH_INSTANCE": self._spec.instance},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            return await self._outlive(process)
        finally:
            await self._end(process)

    async def _outlive(self, process: asyncio.subprocess.Process) -> int:
        """Show what it says, until it has ended."""
        assert process.stdout is not None
        async for line in lines(process.stdout):
            self._last_words = line or self._last_words
            self._say(self._spec.name, line, "")
        return await process.wait()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Ask it to end, and make it when it does not."""
        if process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE_S):
                await self._outlive(process)
        except TimeoutError:
            self._say(self._spec.name, f"has not ended after {GRACE_S:g} s and is killed.", ALARM)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


def ending(code: int) -> str:
    """How a process ended, in words."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
