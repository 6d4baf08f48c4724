"""What `mynah up` says of who comes and goes."""

import io
import os
import socket
import time

import pytest

from mynah.board import Board
from mynah.rollcall import RollCall, rival
from mynah_contracts import Health, Role


def health(service: Role, status: str, **more: str) -> Health:
    return Health(service=service, instance=more.pop("instance", "1"), status=status, **more)


@pytest.mark.parametrize(
    ("other", "is_in_the_way"),
    [
        (health(Role.STT, "up", instance="1", host="far"), True),
        (health(Role.STT, "degraded", instance="1", host="far"), True),
        (health(Role.STT, "up", instance="2", host="far"), False),
        (health(Role.STT, "down", instance="1", host="far"), False),
        (health(Role.STT, "starting", instance="1", host="far"), True),
        (health(Role.ROUTER, "up", instance="of-another-fleet", host="far"), True),
        (health(Role.STT, "up", instance="1", host=socket.gethostname(), pid=os.getpid()), True),
        (health(Role.STT, "up", instance="1", host=socket.gethostname(), pid=2**22 + 1), False),
    ],
)
def test_who_has_the_name_of_a_worker_or_is_a_second_router_is_in_the_way_of_a_fleet(other, is_in_the_way):
    names = {(Role.STT, "1"), (Role.ROUTER, "1")}

    assert rival(names, [health(Role.TTS, "up"), other]) == (other if is_in_the_way else None)


@pytest.fixture
def said() -> list[tuple[str, str]]:
    return []


@pytest.fixture
def roll(said) -> RollCall:
    return RollCall(lambda who, line, style: said.append((who, line)), 2, time.monotonic(), "mynah ask")


def test_everybody_is_up_once_all_are_and_again_when_who_was_gone_is_back(roll, said):
    for service, status in (
        (Role.STT, "starting"),
        (Role.STT, "up"),
        (Role.STT, "up"),
        (Role.TTS, "degraded"),
        (Role.STT, "down"),
        (Role.STT, "up"),
    ):
        roll.note(health(service, status, engine="sphinx", reason="Why." if status == "degraded" else ""))

    assert said[0] == ("stt/1", "up with sphinx")
    assert said[1] == ("tts/1", "degraded: Why.")
    assert said[2][1].startswith("Everybody is up after 0.")
    assert said[2][1].endswith("s. Try: mynah ask")
    assert said[3:] == [("stt/1", "down"), ("stt/1", "up with sphinx"), ("mynah", "Everybody is up again.")]


def test_who_was_down_before_is_not_told_of(roll, said):
    roll.note(health(Role.STT, "down", reason="The process is gone."))

    assert said == []


def test_the_satellite_of_a_command_neither_counts_nor_is_told_of(roll, said):
    for instance in ("cli-1", "cli-2"):
        roll.note(health(Role.SATELLITE, "up", instance=instance))

    assert said == []


def test_a_line_of_a_log_is_shown_without_what_is_for_machines(capsys):
    board = Board(lambda: None)
    board.say("tts/1", "2026-01-02 03:04:05,678 - tts_worker.worker - INFO - espeak speaks")
    board.say("tts/1", "not a line of a log")

    assert capsys.readouterr().out == "tts/1        │ espeak speaks\ntts/1        │ not a line of a log\n"


def test_nobody_is_told_anything_once_nobody_reads(monkeypatch):
    closed: list[bool] = []
    monkeypatch.setattr("sys.stdout", Gone())
    board = Board(lambda: closed.append(True))

    board.say("mynah", "one")
    board.say("mynah", "two")

    assert closed == [True]


class Gone(io.StringIO):
    """A terminal that was closed."""

    def write(self, text: str) -> int:
        raise BrokenPipeError
