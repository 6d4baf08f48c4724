"""What is said about the time and the date."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from router_worker.answers import wording
from router_worker.intents import Intent

_DAYS = {-2: "The day before yesterday", -1: "Yesterday", 0: "Today", 1: "Tomorrow", 2: "The day after tomorrow"}


class ClockAnswers:
    """Tells the time of `now`, whose time zone is the listener's."""

    def __init__(self, now: Callable[[], datetime], hours: Literal[12, 24]) -> None:
        self._now = now
        self._hours = hours

    def by_intent(self) -> Mapping[str, Callable[[Intent], str]]:
        """What answers which intent."""
        return {
            "GetTime": self._time,
            "GetDate": self._date,
            "GetWeekday": self._weekday,
            "GetDateOfWeekday": self._date_of_weekday,
            "GetMonth": lambda _: f"It is {wording.month(self._now())}.",
            "GetYear": lambda _: f"It is the year {self._now().year}.",
        }

    def _time(self, _: Intent) -> str:
        return f"It is {wording.time_of_day(self._now(), self._hours)}."

    def _date(self, intent: Intent) -> str:
        which, day = self._day(intent)
        return f"{which} {wording.weekday(day)}, {wording.day_and_month(day)}, {day.year}."

    def _weekday(self, intent: Intent) -> str:
        which, day = self._day(intent)
        return f"{which} {wording.weekday(day)}."

    def _date_of_weekday(self, intent: Intent) -> str:
        today = self._now()
        ahead = (int(intent.number("weekday") or 0) - today.weekday()) % 7
        day = today + timedelta(days=ahead)
        when = {0: "today, ", 1: "tomorrow, "}.get(ahead, "")
        return f"{wording.weekday(day)} is {when}{wording.day_and_month(day)}."

    def _day(self, intent: Intent) -> tuple[str, datetime]:
        offset = int(intent.number("day") or 0)
        return f"{_DAYS[offset]} {'was' if offset < 0 else 'is'}", self._now() + timedelta(days=offset)
