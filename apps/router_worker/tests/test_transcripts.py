"""What people really said, as it was written down."""

import csv
import os
from pathlib import Path

import pytest

from router_worker.intents import Recogniser

pytestmark = pytest.mark.model

FOR_THE_MODEL = {
    "launch firefox",
    "what's the weather",
    "what's the weather in New York",
    "what's the weather like in New York",
}


@pytest.fixture(scope="module")
def commands() -> list[str]:
    models = os.environ.get("MYNAH_MODELS_DIR")
    if not models:
        pytest.skip("MYNAH_MODELS_DIR is not set: there are no transcripts")
    with (Path(models) / "speech" / "transcripts.tsv").open(encoding="utf-8") as rows:
        return [
            row["text"] for row in csv.DictReader(rows, delimiter="\t") if row["file"].startswith("cmd") and row["text"]
        ]


def test_every_command_is_understood_unless_it_is_for_the_language_model(
    recogniser: Recogniser, commands: list[str]
) -> None:
    assert len(commands) > 60
    assert {text for text in commands if recogniser.recognise(text) is None} == FOR_THE_MODEL


def test_timers_and_lists_are_understood_as_such(recogniser: Recogniser, commands: list[str]) -> None:
    about = {text: recogniser.recognise(text).name for text in commands if "timer" in text or "list" in text.lower()}
    assert about == {
        "add apples to my Shopping List": "AddToList",
        "cancel all timers": "CancelAllTimers",
        "cancel timer": "CancelTimer",
        "pause timer": "PauseTimer",
        "resume the timer": "ResumeTimer",
        "stop all of my timers": "CancelAllTimers",
        "stop my timer": "CancelTimer",
        "timer status": "TimerStatus",
        "how much time is left on my timer": "TimerStatus",
        "set a timer for 5 minutes": "StartTimer",
        "create a timer for 4 and a half hours": "StartTimer",
        "create a timer for 5 and a half minutes": "StartTimer",
        "create timer for 6 hours and 20 minutes": "StartTimer",
        "set a timer for 1 hour": "StartTimer",
        "set a timer for 1 hour and 1 minute": "StartTimer",
        "start a timer for 10 minutes and 20 seconds": "StartTimer",
        "start a timer for 1 hour and 8 minutes": "StartTimer",
        "start timer for 3 hours": "StartTimer",
    }
