"""What `mynah listen` shows of a conversation."""

import io
from itertools import count

import pytest
from rich.console import Console

from mynah.view import View
from mynah_bus import Received
from mynah_contracts import (
    Character,
    Envelope,
    Failed,
    Health,
    Message,
    PartialTranscript,
    PlaybackStatus,
    Role,
    Say,
    Step,
    Transcript,
    TurnEvent,
    WakeEvent,
)

STEPS = [Step(name="listening", ms=300), Step(name="thinking", ms=100)]
PLACE = "kitchen"


class Follower:
    """Somebody who reads what is shown."""

    def __init__(self, width=80, fleet=()):
        self.view = View(Console(file=io.StringIO(), width=width), lambda: "12:00:00", fleet)
        self._numbers = count()

    def hear(self, message: Message, turn: str | None = "t", source: str = "router/1") -> list[str]:
        envelope = Envelope(id=str(next(self._numbers)), turn=turn, source=source)
        told = self.view.hear(Received(message, envelope))
        return [line.rstrip() for text in told for line in text.plain.splitlines()]

    def now(self) -> list[str]:
        return [line.rstrip() for line in self.view.now().plain.splitlines()]

    def phase(self, phase: str, **more) -> list[str]:
        return self.hear(TurnEvent(turn_id="t", satellite=more.pop("satellite", PLACE), phase=phase, **more))


@pytest.fixture
def follower() -> Follower:
    return Follower()


def health(status: str, service: Role = Role.STT, instance: str = "1", reason: str = "") -> Health:
    return Health(service=service, instance=instance, status=status, reason=reason)


def test_a_turn_grows_while_it_goes_on_and_stays_when_it_is_over(follower):
    assert follower.phase("listening") == []
    assert follower.now() == [
        "12:00:00  kitchen     …",
        "                      listening …",
    ]
    follower.hear(PartialTranscript(text="what time"))
    assert follower.now()[0] == "12:00:00  kitchen     what time"
    follower.phase("thinking", step="listening", ms=300)
    follower.hear(Transcript(text="what time is it"))
    follower.phase("speaking", step="thinking", ms=100, transcript="what time is it")
    follower.hear(Say(text="It is noon.", satellite=PLACE))
    assert [line[:32].rstrip() for line in follower.now()] == [
        "12:00:00  kitchen     what time",
        "          Mynah       It is noon",
        "                      listening",
        "                      thinking",
        "                      speaking …",
    ]

    over = follower.phase("done", transcript="what time is it", reply="It is noon.", steps=STEPS, total_ms=400)

    assert follower.now() == []
    assert over == [
        "12:00:00  kitchen     what time is it",
        "          Mynah       It is noon.",
        "                      listening      300 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━",
        "                      thinking       100 ms                            ━━━━━━━━━",
        "                      together       400 ms",
    ]


def test_a_question_in_writing_is_shown_with_its_answer(follower):
    over = follower.phase("done", satellite="", transcript="what is 12 + 30", reply="42.")

    assert over[:2] == ["12:00:00  in writing  what is 12 + 30", "          Mynah       42."]


def test_a_recording_is_not_named_after_the_satellite_that_plays_it(follower):
    assert follower.phase("done", satellite="cli-1234abcd", transcript="stop")[0] == "12:00:00  recording   stop"


def test_the_assistant_has_its_own_name(follower):
    follower.hear(Character(name="Polly", description="", system_prompt=""), turn=None)

    assert follower.phase("done", transcript="hello", reply="Hi.")[1] == "          Polly       Hi."


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (
            {"phase": "failed", "transcript": "hello", "error": "I encountered an error: no."},
            "I encountered an error: no.",
        ),
        ({"phase": "cancelled"}, "nothing was heard"),
        ({"phase": "cancelled", "transcript": "tell me a story"}, "cancelled"),
    ],
)
def test_a_turn_that_was_not_answered_says_why(follower, event, words):
    assert words in [line.strip() for line in follower.phase(**event)] or words in follower.phase(**event)[0]


def test_an_answer_that_was_cut_says_when(follower):
    follower.phase("speaking", transcript="tell me a story")
    follower.hear(PlaybackStatus(event="stopped", satellite=PLACE, heard_ms=1_500, reason="interrupted"))

    over = follower.phase("cancelled", transcript="tell me a story", reply="Once upon a time")

    assert over[2].strip() == "stopped after 1.50 s: interrupted"


def test_long_words_keep_to_their_column_on_a_narrow_terminal():
    follower = Follower(width=40)

    over = follower.phase("done", transcript="what is the answer to all of it", reply="42.", steps=STEPS, total_ms=400)

    assert over == [
        "kitchen     what is the answer to all of",
        "            it",
        "Mynah       42.",
        "            listening      300 ms  ━━━━",
        "            thinking       100 ms      ━",
        "            together       400 ms",
    ]


def test_what_nobody_asked_for_is_shown_too(follower):
    said = follower.hear(Say(text="Dinner is ready.", satellite=PLACE), turn=None)

    assert said == ["12:00:00  Mynah       Dinner is ready.  at kitchen"]


def test_what_went_wrong_is_told_in_words(follower):
    failed = Failed(code="bad_audio", message="The recording is empty.", about="stt.transcribe")

    assert follower.hear(failed, source="stt/1") == [
        "12:00:00  stt/1       The recording is empty. (bad_audio, stt.transcribe)"
    ]
    broken = WakeEvent(type="error", satellite=PLACE, cause="The microphone is gone.")
    assert follower.hear(broken) == ["12:00:00  kitchen     The microphone is gone."]


def test_workers_are_told_of_when_they_come_and_go():
    follower = Follower(fleet=[health("up")])

    told = [
        follower.hear(health(status, reason=reason), turn=None)
        for status, reason in (("up", ""), ("down", "Stopped."), ("starting", ""), ("up", ""))
    ]

    assert told == [[], ["12:00:00  stt/1       is down: Stopped."], [], ["12:00:00  stt/1       is up"]]
    assert follower.hear(health("down", instance="9"), turn=None) == []  # it was gone before we came


def test_the_satellite_of_a_command_is_no_news(follower):
    for status in ("up", "down"):
        assert follower.hear(health(status, Role.SATELLITE, "cli-1234abcd"), turn=None) == []


def test_turns_are_put_away_when_the_router_goes():
    follower = Follower(fleet=[health("up", Role.ROUTER)])
    follower.phase("thinking", transcript="what time is it")

    told = follower.hear(health("down", Role.ROUTER), turn=None)

    assert told[1:3] == [
        "12:00:00  kitchen     what time is it",
        "                      cut off: the router went away",
    ]
    assert follower.now() == []


def test_a_turn_whose_end_may_have_been_missed_is_not_shown_for_ever(follower):
    follower.phase("thinking", transcript="what time is it")

    assert follower.view.lost().plain == "The connection to the broker was lost and is back.\n"
    assert follower.now() == []
    assert follower.phase("done", transcript="what time is it", reply="Noon.")[1].endswith("Noon.")


def test_of_many_turns_at_once_the_oldest_is_left_out(follower):
    for number in range(20):
        follower.hear(TurnEvent(turn_id=str(number), satellite=PLACE, phase="thinking", transcript=f"number {number}"))

    shown = [line for line in follower.now() if "number" in line]
    assert shown[0].endswith("number 12")
    assert shown[-1].endswith("number 19")
