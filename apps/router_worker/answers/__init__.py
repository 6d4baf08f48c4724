"""What is said to an intent, after doing what it asks for."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Literal

from router_worker.answers import talk
from router_worker.answers.clock import ClockAnswers
from router_worker.answers.home import not_connected
from router_worker.answers.shopping import ShoppingAnswers
from router_worker.answers.timers import TimerAnswers, missed, rung
from router_worker.intents import Intent
from router_worker.shopping import ShoppingList
from router_worker.timers import Timers

__all__ = ["Answers", "missed", "rung"]


class Answers:
    """Answers every intent; `now` has the listener's time zone. For one thread at a time: it writes to the disk."""

    def __init__(
        self, timers: Timers, shopping: ShoppingList, now: Callable[[], datetime], hours: Literal[12, 24] = 12
    ) -> None:
        self._by_intent: Mapping[str, Callable[[Intent], str]] = {
            **ClockAnswers(now, hours).by_intent(),
            **TimerAnswers(timers).by_intent(),
            **ShoppingAnswers(shopping).by_intent(),
        }

    def answer(self, intent: Intent, *, last: str | None = None, place: str = "") -> str:
        """The sentences to say; empty where silence is the answer. Raises StoreError.

        `last` is the last answer of the session, `place` is where a timer will ring.
        """
        if intent.name == "Repeat":
            return last or talk.NOTHING_YET
        if intent.name in talk.FIXED:
            return talk.FIXED[intent.name]
        if intent.name in self._by_intent:
            return self._by_intent[intent.name](replace(intent, slots={**intent.slots, "place": place}))
        if intent.name.startswith("Hass"):
            return not_connected(intent)
        raise LookupError(f"nothing answers {intent.name}")
