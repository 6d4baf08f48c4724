"""One recognition: through the breaker into a thread, and what came of it to everybody."""

import logging
import time
from typing import Any, Final, Protocol

from mynah_resilience import CircuitBreaker, EventBus
from mynah_tasks.executors import DeadlineExceeded, ExecutorKind, Executors

log = logging.getLogger(__name__)

LATE: Final = 0.5
"""Seconds that ears have for their answer after they have listened to the end."""
LOGGED = ("voice_recognized", "voice_failed", "circuit_breaker_open")


class Ears(Protocol):
    """Listens and recognises; blocks, in a thread."""

    def listen_with_confidence(self, timeout: float) -> tuple[str | None, float]:
        """What was said within `timeout` seconds and how sure that is, 0 to 1; None when nothing was understood."""


class Recognition:
    """The processor of voice tasks; publishes `voice_recognized` (text, confidence)."""

    def __init__(self, ears: Ears, breaker: CircuitBreaker, executors: Executors, events: EventBus) -> None:
        self._ears = ears
        self._breaker = breaker
        self._executors = executors
        self._events = events

    async def __call__(self, payload: dict[str, float]) -> dict[str, Any]:
        """Listen until the monotonic second `until`; ears `LATE` beyond it are a failure that the breaker counts."""
        left = payload["until"] - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded("no time was left to listen")
        async with self._breaker:
            listen = self._ears.listen_with_confidence
            text, confidence = await self._executors.run(ExecutorKind.THREAD, listen, left, timeout=left + LATE)
        if text is not None:
            await self._events.publish("voice_recognized", {"text": text, "confidence": confidence})
        return {"text": text, "confidence": confidence}


def log_events(events: EventBus) -> None:
    """Have the default handlers write down what an operator follows; what was said only for debugging."""
    for name in LOGGED:
        events.subscribe(name, _Logged(name))


class _Logged:
    def __init__(self, event: str) -> None:
        self._event = event

    async def __call__(self, data: dict[str, Any]) -> None:
        log.info("%s", self._event)
        log.debug("%s: %s", self._event, data)
