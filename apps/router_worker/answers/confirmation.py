"""What is only done after a yes: what cannot be brought back, when it may have been misheard."""

import re
from collections.abc import Callable
from typing import Final

from router_worker.intents import Intent, Risk

LEFT_ALONE: Final = "OK, I left it as it is."
_ASKS: Final = {"CancelAllTimers": "cancel all timers", "ClearList": "clear the shopping list"}
_YES: Final = re.compile(
    r"(?:yes|yeah|yep|sure)(?:,? (?:please|do it|do that|go ahead))?|do it|go ahead|i am sure|i'm sure"
)
_NO: Final = re.compile(r"(?:no|nope|don't|do not|stop)(?:,? (?:thanks|thank you|please|don't|do not|leave it))?")


def question(intent: Intent) -> str | None:
    """What to ask before doing this; None: it may be done at once, or there is nothing here that could do it."""
    doing = _ASKS.get(intent.name)
    if intent.risk is not Risk.HIGH or doing is None:
        return None
    return f"Shall I {doing}? Say yes to confirm."


def is_yes(text: str) -> bool:
    """Whether these words give leave."""
    return _YES.fullmatch(_words(text)) is not None


def is_no(text: str) -> bool:
    """Whether these words refuse it."""
    return _NO.fullmatch(_words(text)) is not None


class Confirmations:
    """What was asked about in each session; `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], *, within_s: float = 30.0) -> None:
        self._clock = clock
        self._within_s = within_s
        self._waiting: dict[str, tuple[float, Intent]] = {}

    def ask(self, session: str, intent: Intent) -> None:
        """Its question has been heard."""
        self._waiting[session] = (self._clock() + self._within_s, intent)

    def take(self, session: str) -> Intent | None:
        """What the next words of the session may confirm; they are the only ones that do."""
        now = self._clock()
        self._waiting = {each: asked for each, asked in self._waiting.items() if asked[0] > now}
        asked = self._waiting.pop(session, None)
        return asked[1] if asked else None


def _words(text: str) -> str:
    return " ".join(text.casefold().replace("\u2019", "'").strip(" .!").split())
