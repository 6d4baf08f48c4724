"""A satellite's own voice, which its microphone hears too: saying a wake word is not being called by it."""

import logging
import time
from collections.abc import Callable
from typing import Final, Self

from mynah_audio.pcm import SAMPLE_RATE, Samples
from mynah_audio.wake import WakeWord
from mynah_bus import ModelThread

log = logging.getLogger(__name__)

ECHO_S: Final = 1.5
"""How long after it was said a wake word may come back through the microphone."""


class OwnVoice:
    """Listens to what the loudspeaker is about to play; `clock` is monotonic, in seconds."""

    def __init__(self, wake: Callable[[], WakeWord], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._make_wake = wake
        self._clock = clock
        self._until = 0.0
        self._thread = ModelThread("own voice")

    async def __aenter__(self) -> Self:
        """Load the wake word."""
        await self._thread.__aenter__()
        self._wake = await self._thread(self._make_wake)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._thread.__aexit__(*error)

    async def say(self, samples: Samples) -> None:
        """This, at 16 kHz, is played next."""
        if await self._thread(self._wake.push, samples) is not None:
            self._until = self._clock() + len(samples) / SAMPLE_RATE + ECHO_S

    def may_be_heard(self) -> bool:
        """Whether a wake word that is heard now may be our own."""
        return self._clock() < self._until
