"""Which satellite answers."""

import pytest

from router_worker.arbitration import Arbitration, Verdict


class Clock:
    """Monotonic seconds that pass when told to."""

    def __init__(self) -> None:
        self.s = 5.0

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_loudest_within_the_window_answers(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    clock.s += 0.05
    arbitration.hear("office", -20.0)
    assert arbitration.decide() is None
    assert arbitration.due_in() == pytest.approx(0.05)
    clock.s += 0.05
    assert arbitration.decide() == Verdict("office", ("kitchen",))


def test_there_is_one_verdict(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    clock.s += 0.2
    assert arbitration.decide() == Verdict("kitchen", ())
    assert arbitration.decide() is None
    assert arbitration.due_in() is None


def test_among_equals_the_first_wins(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    arbitration.hear("office", -30.0)
    clock.s += 0.1
    assert arbitration.decide().winner == "kitchen"


def test_who_reports_after_the_verdict_has_lost_however_loud(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    clock.s += 0.1
    arbitration.decide()
    clock.s += 0.2
    assert not arbitration.hear("office", -1.0)
    assert arbitration.due_in() is None


def test_a_later_wake_word_is_a_new_one(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    clock.s += 0.1
    arbitration.decide()
    clock.s += 2
    assert arbitration.hear("office", -50.0)
    clock.s += 0.1
    assert arbitration.decide() == Verdict("office", ())


def test_the_winner_may_wake_again_at_once(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -30.0)
    clock.s += 0.1
    assert arbitration.decide() == Verdict("kitchen", ())
    assert arbitration.hear("kitchen", -30.0)
    clock.s += 0.1
    assert arbitration.decide() == Verdict("kitchen", ())


def test_a_satellite_that_reports_twice_counts_once_with_its_louder_report(clock: Clock) -> None:
    arbitration = Arbitration(clock)
    arbitration.hear("kitchen", -20.0)
    arbitration.hear("kitchen", -60.0)
    arbitration.hear("office", -30.0)
    clock.s += 0.1
    assert arbitration.decide() == Verdict("kitchen", ("office",))


def test_nobody_heard_anything(clock: Clock) -> None:
    assert Arbitration(clock).decide() is None
    assert Arbitration(clock).due_in() is None
