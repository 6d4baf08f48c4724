"""Who is believed to be up, by what was heard and when."""

from typing import Any

import pytest

from mynah_bus.fleet import MENTIONED, RESTARTING, STALE_AFTER, Fleet
from mynah_contracts import Health, Role


class Watch:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def fleet(watch: Watch) -> Fleet:
    return Fleet(watch)


def health(instance: str = "one", status: Any = "up", **more: Any) -> Health:
    return Health(service=Role.STT, instance=instance, status=status, handles={"stt.transcribe": 1}, **more)


def names(fleet: Fleet) -> list[str]:
    return [member.health.instance for member in fleet.ready(Role.STT, "stt.transcribe")]


@pytest.mark.parametrize(
    ("first", "second", "believed"),
    [
        ({"started_at": 1, "seq": 5}, {"started_at": 1, "seq": 6}, "second"),
        ({"started_at": 1, "seq": 6}, {"started_at": 1, "seq": 5}, "first"),
        ({"started_at": 1, "seq": 9}, {"started_at": 2, "seq": 1}, "second"),
        ({"started_at": 2, "seq": 1}, {"started_at": 1, "seq": 9}, "first"),
    ],
)
def test_the_newer_by_start_time_and_sequence_wins_in_whatever_order_they_come(fleet, first, second, believed):
    fleet.observe(health(reason="first", **first))
    fleet.observe(health(reason="second", **second))
    assert [told.reason for told in fleet.workers()] == [believed]


def test_a_late_last_will_of_a_process_that_was_started_again_is_ignored(fleet):
    moved: list[str] = []
    fleet.observe(health(started_at=2, seq=1))
    fleet.ready(Role.STT, "stt.transcribe")[0].on_down.add(lambda: moved.append("moved"))
    fleet.observe(health(status="down", started_at=1, seq=999_999))
    assert names(fleet) == ["one"]
    assert moved == []
    fleet.observe(health(status="down", started_at=2, seq=2))
    assert names(fleet) == []
    assert moved == ["moved"]


def test_a_worker_that_has_said_nothing_for_long_is_no_longer_asked(fleet, watch):
    fleet.observe(health(seq=1))
    watch.now += STALE_AFTER - 1
    assert names(fleet) == ["one"]
    watch.now += 1
    assert names(fleet) == []
    assert not fleet.is_up(Role.STT)
    fleet.observe(health(seq=2))
    assert names(fleet) == ["one"]
    assert fleet.is_up(Role.STT)


def test_an_old_message_does_not_make_a_silent_worker_believed_again(fleet, watch):
    fleet.observe(health(seq=2))
    watch.now += STALE_AFTER
    fleet.observe(health(seq=1))
    assert names(fleet) == []


@pytest.mark.parametrize(("status", "asked"), [("starting", []), ("up", ["one"]), ("degraded", ["one"]), ("down", [])])
def test_who_is_up_or_degraded_is_asked(fleet, status, asked):
    fleet.observe(health(status=status))
    assert names(fleet) == asked
    assert fleet.is_up(Role.STT) == bool(asked)
    assert not fleet.is_up(Role.TTS)


def test_who_does_not_take_a_command_is_not_asked(fleet):
    fleet.observe(health())
    assert fleet.ready(Role.STT, "stt.transcribe_part") == []
    assert fleet.ready(Role.TTS, "stt.transcribe") == []


def test_the_least_loaded_comes_first_and_our_own_requests_count_most(fleet):
    fleet.observe(health("busy", queued=3, in_flight=1))
    fleet.observe(health("idle"))
    assert names(fleet) == ["idle", "busy"]
    fleet.ready(Role.STT, "stt.transcribe")[0].outstanding = 1
    assert names(fleet) == ["busy", "idle"]


def test_who_went_down_a_moment_ago_is_expected_back(fleet, watch):
    assert fleet.back_within(Role.STT) == 0
    fleet.observe(health(status="down"))
    assert fleet.back_within(Role.STT) == RESTARTING
    watch.now += RESTARTING
    assert fleet.back_within(Role.STT) == 0
    fleet.observe(health("two", status="starting"), expires=20)
    watch.now += RESTARTING
    assert fleet.back_within(Role.STT) == 15


def test_who_went_down_long_ago_is_not_expected_back(fleet):
    fleet.observe(health(status="down"), expires=MENTIONED - 60)
    assert fleet.back_within(Role.STT) == 0


def test_who_is_doubted_is_asked_again_after_its_next_word(fleet):
    fleet.observe(health(seq=1))
    fleet.doubt()
    assert names(fleet) == []
    assert fleet.back_within(Role.STT) == RESTARTING
    fleet.observe(health(seq=1))
    assert names(fleet) == ["one"]


def test_who_has_been_silent_for_too_long_counts_as_down(fleet, watch):
    fleet.observe(health())
    watch.now += STALE_AFTER
    assert [told.status for told in fleet.workers()] == ["down"]
