"""What is said about timers, and done to them."""

from collections.abc import Callable, Iterable, Mapping

from router_worker.answers.wording import count, duration, length_of, listing, time_left
from router_worker.intents import Intent
from router_worker.timers import Timer, Timers, TooManyTimers

_HOW_LONG = "For how long? Say, for example: set a timer for 5 minutes."
_NONE = "There is no timer."


class TimerAnswers:
    """Does what is asked for with timers and says so."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def by_intent(self) -> Mapping[str, Callable[[Intent], str]]:
        """What answers which intent."""
        return {
            "StartTimer": self._start,
            "CancelTimer": lambda intent: self._with_one(intent, self._cancel),
            "CancelAllTimers": self._cancel_all,
            "TimerStatus": self._status,
            "PauseTimer": lambda intent: self._with_one(intent, self._pause, is_paused=False),
            "ResumeTimer": lambda intent: self._with_one(intent, self._resume, is_paused=True),
            "IncreaseTimer": lambda intent: self._with_one(intent, lambda timer: self._extend(timer, _seconds(intent))),
            "DecreaseTimer": lambda intent: self._with_one(
                intent, lambda timer: self._extend(timer, -_seconds(intent))
            ),
        }

    def _start(self, intent: Intent) -> str:
        seconds, name = _seconds(intent), intent.text("timer")
        if not seconds:
            return _HOW_LONG
        try:
            timer = self._timers.start(seconds, name, intent.text("place") or "")
        except TooManyTimers:
            return f"I have {count(len(self._timers.all()), 'timer')} already, and cannot keep more."
        called = f"{timer.name} timer" if timer.name else "timer"
        return f"I set {_a(called)} for {duration(seconds)}."

    def _cancel(self, timer: Timer) -> str:
        self._timers.cancel(timer.id)
        return f"I canceled the {called(timer)}."

    def _cancel_all(self, _: Intent) -> str:
        number = self._timers.cancel(*(timer.id for timer in self._timers.all()))
        return f"I canceled {count(number, 'timer')}." if number else _NONE

    def _status(self, intent: Intent) -> str:
        found = self._asked_for(intent)
        if not found:
            return self._not_there(intent)
        if len(found) == 1:
            return f"There {'is' if _is_one(found[0]) else 'are'} {_left(found[0])}."
        return f"You have {count(len(found), 'timer')}: {_each(found)}."

    def _pause(self, timer: Timer) -> str:
        self._timers.pause(timer.id)
        return f"I paused the {called(timer)} with {time_left(timer.left_s)} left."

    def _resume(self, timer: Timer) -> str:
        self._timers.resume(timer.id)
        return f"The {called(timer)} goes on with {time_left(timer.left_s)} left."

    def _extend(self, timer: Timer, by_s: int) -> str:
        extended = self._timers.extend(timer.id, by_s)
        left = extended.left_s if extended else 0
        verb = "added" if by_s > 0 else "took off"
        return f"I {verb} {duration(abs(by_s))}. The {called(timer)} has {time_left(left)} left."

    def _with_one(self, intent: Intent, act: Callable[[Timer], str], *, is_paused: bool | None = None) -> str:
        """Act on the timer that is meant, or say why that is not clear."""
        found = self._asked_for(intent)
        fitting = [timer for timer in found if is_paused in {None, timer.is_paused}]
        if len(fitting) == 1:
            return act(fitting[0])
        if fitting:
            return f"You have {count(len(fitting), 'timer')}: {_each(fitting)}. Which one?"
        if found:
            return f"The {called(found[0])} {'is not paused' if is_paused else 'is paused already'}."
        return self._not_there(intent)

    def _asked_for(self, intent: Intent) -> tuple[Timer, ...]:
        # Of "add 5 minutes to the timer", the length is not the timer's.
        is_change = intent.name in {"IncreaseTimer", "DecreaseTimer"}
        return self._timers.find(intent.text("timer"), None if is_change else _seconds(intent) or None)

    def _not_there(self, intent: Intent) -> str:
        name = intent.text("timer")
        return f"There is no {name} timer." if name else _NONE


def called(timer: Timer) -> str:
    """What a timer is called: "pizza timer", "5 minute timer"."""
    return f"{timer.name or length_of(timer.seconds)} timer"


def rung(timers: Iterable[Timer]) -> str:
    """What is said when these timers ring; empty if there are none."""
    names = [called(timer) for timer in timers]
    if not names:
        return ""
    return f"Your {listing(names)} {'is' if len(names) == 1 else 'are'} done."


def missed(timers: Iterable[Timer]) -> str:
    """What is said about timers that were due while nobody was there; empty if there are none."""
    late = [f"your {called(timer)} was done {duration(max(-timer.left_s, 1))} ago" for timer in timers]
    return f"While I was away, {listing(late)}." if late else ""


def _seconds(intent: Intent) -> int:
    return int(intent.number("seconds") or 0)


def _left(timer: Timer) -> str:
    paused = ", which is paused" if timer.is_paused else ""
    return f"{time_left(timer.left_s)} left on the {called(timer)}{paused}"


def _is_one(timer: Timer) -> bool:
    return time_left(timer.left_s).startswith("1 ")


def _each(timers: Iterable[Timer]) -> str:
    return listing([_left(timer) for timer in timers])


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
