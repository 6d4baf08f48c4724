"""What is said to an intent."""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from router_worker.answers import Answers, missed, rung
from router_worker.answers.wording import count, duration, listing, ordinal, time_left
from router_worker.intents import Recogniser, dictionary
from router_worker.shopping import ShoppingList
from router_worker.store import Store
from router_worker.timers import Clocks, Timer, Timers

Ask = Callable[[str], str]


class Clock:
    """Seconds that pass when told to."""

    s = 1000.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(store: Store, clock: Clock) -> Timers:
    return Timers(store, Clocks(clock, clock, "boot"))


@pytest.fixture
def answers(store: Store, timers: Timers) -> Answers:
    now = datetime(2025, 11, 22, 15, 5, tzinfo=ZoneInfo("Europe/Berlin"))
    return Answers(timers, ShoppingList(store), lambda: now)


@pytest.fixture
def ask(recogniser: Recogniser, answers: Answers) -> Ask:
    return lambda text: answers.answer(recogniser.recognise(text))


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("what time is it", "It is 3:05 PM."),
        ("what's the date", "Today is Saturday, November 22nd, 2025."),
        ("what's the date tomorrow", "Tomorrow is Sunday, November 23rd, 2025."),
        ("what was yesterday's date", "Yesterday was Friday, November 21st, 2025."),
        ("what day is it", "Today is Saturday."),
        ("what day is the day after tomorrow", "The day after tomorrow is Monday."),
        ("when is friday", "Friday is November 28th."),
        ("when is saturday", "Saturday is today, November 22nd."),
        ("what date is next sunday", "Sunday is tomorrow, November 23rd."),
        ("what month is it", "It is November."),
        ("what year is it", "It is the year 2025."),
        ("set the volume to 40 percent", "I cannot change the volume."),
        ("turn it up", "I cannot change the volume."),
        ("unmute", "I cannot change the volume."),
        ("thanks", "You're welcome."),
        ("never mind", "OK."),
        ("stop", ""),
        ("pause", ""),
        ("repeat that", "I have not said anything yet."),
        ("unlock the front door", "I have no device named front door connected."),
        ("turn on the kitchen lights", "I have no lights in the kitchen connected."),
        ("turn on the lights", "I have no lights connected."),
        ("turn off the lights upstairs", "I have no lights upstairs connected."),
        ("close the kitchen windows", "I have no windows in the kitchen connected."),
        ("what's the temperature", "I have no thermometer connected."),
        ("next track", "I have no media player connected."),
    ],
)
def test_it_says(ask: Ask, text: str, spoken: str) -> None:
    assert ask(text) == spoken


@pytest.mark.parametrize(
    ("hour", "minute", "twelve", "twenty_four"),
    [
        (0, 0, "12:00 AM", "00:00"),
        (0, 5, "12:05 AM", "00:05"),
        (9, 30, "9:30 AM", "09:30"),
        (12, 0, "12:00 PM", "12:00"),
        (23, 59, "11:59 PM", "23:59"),
    ],
)
def test_the_time_is_told_by_12_or_24_hours(
    recogniser: Recogniser, store: Store, timers: Timers, hour: int, minute: int, twelve: str, twenty_four: str
) -> None:
    now = datetime(2025, 11, 22, hour, minute, tzinfo=ZoneInfo("UTC"))
    intent = recogniser.recognise("what time is it")
    for hours, spoken in ((12, twelve), (24, twenty_four)):
        assert Answers(timers, ShoppingList(store), lambda: now, hours).answer(intent) == f"It is {spoken}."


def test_a_timer_is_set_asked_for_paused_extended_and_cancelled(ask: Ask, clock: Clock) -> None:
    assert ask("set a timer") == "For how long? Say, for example: set a timer for 5 minutes."
    assert ask("how much time is left on my timer") == "There is no timer."
    assert ask("set a timer for an hour and a half") == "I set a timer for 1 hour and 30 minutes."
    clock.s += 60
    assert (
        ask("how much time is left on my timer") == "There is 1 hour and 29 minutes left on the 1 hour 30 minute timer."
    )
    assert ask("pause the timer") == "I paused the 1 hour 30 minute timer with 1 hour and 29 minutes left."
    assert ask("pause the timer") == "The 1 hour 30 minute timer is paused already."
    assert ask("timer status").endswith("left on the 1 hour 30 minute timer, which is paused.")
    assert ask("resume the timer") == "The 1 hour 30 minute timer goes on with 1 hour and 29 minutes left."
    assert ask("resume the timer") == "The 1 hour 30 minute timer is not paused."
    assert (
        ask("add a minute to the timer")
        == "I added 1 minute. The 1 hour 30 minute timer has 1 hour and 30 minutes left."
    )
    assert (
        ask("take half an hour off the timer") == "I took off 30 minutes. The 1 hour 30 minute timer has 1 hour left."
    )
    assert ask("cancel the timer") == "I canceled the 1 hour 30 minute timer."
    assert ask("cancel all timers") == "There is no timer."


def test_which_of_several_timers_is_meant_is_asked(ask: Ask) -> None:
    assert ask("set an egg timer for 5 minutes") == "I set an egg timer for 5 minutes."
    assert ask("set a pizza timer for 12 minutes") == "I set a pizza timer for 12 minutes."
    both = "You have 2 timers: 5 minutes left on the egg timer and 12 minutes left on the pizza timer."
    assert ask("timer status") == both
    assert ask("cancel the timer") == f"{both} Which one?"
    assert ask("cancel the cake timer") == "There is no cake timer."
    assert ask("cancel the 12 minute timer") == "I canceled the pizza timer."
    assert ask("cancel all timers") == "I canceled 1 timer."


def test_a_timer_rings_where_it_was_set(recogniser: Recogniser, answers: Answers, timers: Timers) -> None:
    answers.answer(recogniser.recognise("set a timer for 5 minutes"), place="kitchen")
    assert timers.all()[0].place == "kitchen"


def test_there_are_not_more_timers_than_can_be_kept(ask: Ask, timers: Timers) -> None:
    for _ in range(100):
        timers.start(60)
    assert ask("set a timer for 5 minutes") == "I have 100 timers already, and cannot keep more."


def test_what_rings_and_what_was_missed_is_announced() -> None:
    pizza, unnamed = Timer(1, "pizza", 720, 0.0), Timer(2, None, 300, -3599.5)
    assert rung([pizza]) == "Your pizza timer is done."
    assert rung([pizza, unnamed]) == "Your pizza timer and 5 minute timer are done."
    assert missed([unnamed]) == "While I was away, your 5 minute timer was done 1 hour ago."
    assert rung([]) == missed([]) == ""


def test_the_shopping_list_is_kept(ask: Ask) -> None:
    assert ask("what's on my shopping list") == "The shopping list is empty."
    assert ask("add milk, eggs and bread to my shopping list") == "I put milk, eggs and bread on the shopping list."
    assert ask("add milk to my shopping list") == "Milk is on the shopping list already."
    assert ask("remove eggs from my shopping list") == "I took eggs off the shopping list."
    assert ask("remove eggs from my shopping list") == "Eggs are not on the shopping list."
    assert ask("what's on my shopping list") == "On the shopping list: milk and bread."
    assert ask("clear my shopping list") == "I cleared the shopping list."
    assert ask("clear my shopping list") == "The shopping list is empty."


def test_a_long_shopping_list_is_not_read_to_its_end(ask: Ask, store: Store) -> None:
    shopping = ShoppingList(store)
    shopping.add([f"thing {number}" for number in range(30)])
    assert ask("what's on my shopping list").endswith("thing 19 and 10 more.")
    shopping.add([f"number {number}" for number in range(470)])
    assert ask("add milk to my shopping list") == "The shopping list is full."


def test_the_last_answer_is_repeated(recogniser: Recogniser, answers: Answers) -> None:
    assert answers.answer(recogniser.recognise("repeat that"), last="It is 3:05 PM.") == "It is 3:05 PM."


def test_every_intent_has_an_answer(recogniser: Recogniser, answers: Answers) -> None:
    from router_worker.intents import Intent

    own = [name for topic in dictionary.OWN for name in dictionary.own(topic)["intents"]]
    home = [*dictionary.HOME_INTENTS, *dictionary.own(dictionary.HOME)["intents"]]
    for name in (*own, *home):
        assert isinstance(answers.answer(Intent(name)), str)
    with pytest.raises(LookupError):
        answers.answer(Intent("Nonsense"))


@pytest.mark.parametrize(
    ("seconds", "spoken"),
    [
        (1, "1 second"),
        (59.2, "1 minute"),
        (61, "1 minute and 1 second"),
        (7384, "2 hours, 3 minutes and 4 seconds"),
        (90000, "1 day and 1 hour"),
        (0, "0 seconds"),
    ],
)
def test_durations_are_words(seconds: float, spoken: str) -> None:
    assert duration(seconds) == spoken


def test_long_times_are_left_without_their_seconds() -> None:
    assert time_left(4084) == "1 hour and 9 minutes"
    assert time_left(3599) == "59 minutes and 59 seconds"


def test_numbers_and_lists_are_words() -> None:
    assert [count(number, "timer") for number in (0, 1, 2)] == ["0 timers", "1 timer", "2 timers"]
    assert [listing(list("abc")[:number]) for number in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 22, 31)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "31st")
    ]
