"""Timers that outlive the worker."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

from router_worker.store import Store, StoreError
from router_worker.timers import MOST, Clocks, Timers, TooManyTimers, this_boot


@dataclass
class Machine:
    """A machine whose time passes when told to, and whose wall clock can be set."""

    path: Path
    wall: float = 1_700_000_000.0
    monotonic: float = 100.0
    boot: int = 1

    def pass_s(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds

    def reboot(self, off_s: float) -> None:
        self.wall += off_s
        self.monotonic = 1.0
        self.boot += 1

    def clocks(self) -> Clocks:
        return Clocks(lambda: self.wall, lambda: self.monotonic, f"boot {self.boot}")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "router.db")


@pytest.fixture
def timers(machine: Machine, store: Store) -> Timers:
    return Timers(store, machine.clocks())


def test_a_timer_rings_once_when_its_time_has_come(machine: Machine, timers: Timers) -> None:
    timers.start(300, "Pizza", place="kitchen")
    assert timers.next_due() == pytest.approx(300)
    machine.pass_s(299)
    assert timers.due() == ()
    machine.pass_s(timers.next_due())
    (rung,) = timers.due()
    assert (rung.name, rung.seconds, rung.place) == ("pizza", 300, "kitchen")
    assert timers.due() == ()
    assert timers.next_due() is None


def test_several_timers_ring_in_order(machine: Machine, timers: Timers) -> None:
    timers.start(60, "b")
    timers.start(30, "a")
    timers.start(90, "c")
    machine.pass_s(70)
    assert [timer.name for timer in timers.due()] == ["a", "b"]
    assert timers.next_due() == pytest.approx(20)


def test_timers_are_found_by_name_and_length(timers: Timers) -> None:
    timers.start(300)
    timers.start(300, "pizza")
    timers.start(600, "tea")
    assert [timer.name for timer in timers.find("TEA")] == ["tea"]
    assert len(timers.find(seconds=300)) == 2
    assert len(timers.find("pizza", 300)) == 1
    assert timers.find("cake") == ()


def test_a_paused_timer_waits(machine: Machine, timers: Timers) -> None:
    timer = timers.start(300)
    machine.pass_s(100)
    assert timers.pause(timer.id).left_s == pytest.approx(200)
    assert timers.next_due() is None
    machine.pass_s(1000)
    assert timers.due() == ()
    assert timers.pause(timer.id).is_paused
    assert timers.resume(timer.id).left_s == pytest.approx(200)
    assert timers.resume(timer.id).left_s == pytest.approx(200)
    machine.pass_s(200)
    assert len(timers.due()) == 1


def test_a_timer_can_be_made_longer_and_shorter(machine: Machine, timers: Timers) -> None:
    timer = timers.start(300)
    machine.pass_s(100)
    assert timers.extend(timer.id, 60).left_s == pytest.approx(260)
    assert timers.extend(timer.id, -100).left_s == pytest.approx(160)
    timers.pause(timer.id)
    assert timers.extend(timer.id, 40).left_s == pytest.approx(200)
    timers.resume(timer.id)
    timers.extend(timer.id, -1000)
    assert [rung.id for rung in timers.due()] == [timer.id]


def test_a_cancelled_timer_does_not_ring_even_after_a_restart(machine: Machine, store: Store, timers: Timers) -> None:
    timer = timers.start(10)
    assert timers.cancel(timer.id) == 1
    assert timers.cancel(timer.id) == 0
    machine.pass_s(20)
    assert timers.due() == ()
    assert Timers(store, machine.clocks()).missed() == ()


def test_what_is_not_there_cannot_be_changed(timers: Timers) -> None:
    assert timers.pause(7) is None
    assert timers.resume(7) is None
    assert timers.extend(7, 60) is None


@pytest.mark.parametrize("seconds", [0, -5, 10**9])
def test_a_length_that_makes_no_sense_is_refused(timers: Timers, seconds: int) -> None:
    with pytest.raises(ValueError, match="a timer of"):
        timers.start(seconds)


def test_there_is_a_bound(timers: Timers) -> None:
    for _ in range(MOST):
        timers.start(60)
    with pytest.raises(TooManyTimers):
        timers.start(60)


def test_timers_go_on_after_the_worker_was_restarted(machine: Machine, store: Store, timers: Timers) -> None:
    timers.start(300, "pizza", place="kitchen")
    paused = timers.start(600)
    timers.pause(paused.id)
    machine.pass_s(100)
    again = Timers(store, machine.clocks())
    assert again.missed() == ()
    running, still_paused = again.all()
    assert (running.name, running.place, running.left_s) == ("pizza", "kitchen", pytest.approx(200))
    assert still_paused.is_paused
    assert still_paused.left_s == pytest.approx(600)


def test_timers_go_on_after_the_machine_was_restarted(machine: Machine, store: Store, timers: Timers) -> None:
    timers.start(300)
    machine.reboot(off_s=100)
    again = Timers(store, machine.clocks())
    assert again.next_due() == pytest.approx(200)


def test_what_was_due_while_nobody_was_there_is_told_once(machine: Machine, store: Store, timers: Timers) -> None:
    timers.start(60, "tea")
    timers.start(600)
    machine.pass_s(180)
    again = Timers(store, machine.clocks())
    assert again.due() == ()
    again = Timers(store, machine.clocks())
    (missed,) = again.missed()
    assert (missed.name, missed.left_s) == ("tea", pytest.approx(-120))
    assert again.missed() == ()
    again.told(missed.id)
    assert Timers(store, machine.clocks()).missed() == ()
    assert again.next_due() == pytest.approx(420)


def test_what_was_told_in_vain_is_missed(machine: Machine, timers: Timers) -> None:
    timers.start(10, "tea")
    timers.start(10, "pizza")
    machine.pass_s(10)
    tea, pizza = timers.due()
    timers.told(pizza.id)
    assert timers.missed() == ()
    timers.untold(tea.id)
    machine.pass_s(60)
    (missed,) = timers.missed()
    assert (missed.id, missed.left_s) == (tea.id, pytest.approx(-60))
    assert timers.missed() == ()


def test_of_what_nobody_ever_hears_the_latest_are_kept(machine: Machine, store: Store, timers: Timers) -> None:
    for _ in range(2):
        for _ in range(MOST):
            timers.start(10)
        machine.pass_s(10)
        timers.untold(*(rung.id for rung in timers.due()))
    machine.pass_s(60)
    kept = [missed.id for missed in timers.missed()]
    assert len(kept) == MOST
    assert min(kept) > MOST
    assert [missed.id for missed in Timers(store, machine.clocks()).missed()] == kept


def test_what_was_missed_stays_missed_when_the_clock_is_set_before_it_is_told(
    machine: Machine, store: Store, timers: Timers
) -> None:
    timers.start(60, "tea")
    machine.reboot(off_s=90)
    Timers(store, machine.clocks())
    machine.wall -= 3600
    (missed,) = Timers(store, machine.clocks()).missed()
    assert (missed.name, missed.left_s) == ("tea", pytest.approx(-30))


def test_a_timer_that_rings_is_on_the_disk_until_it_was_told(machine: Machine, store: Store, timers: Timers) -> None:
    timers.start(10)
    machine.pass_s(10)
    (rung,) = timers.due()
    assert timers.all() == ()
    machine.reboot(off_s=-3600)
    again = Timers(store, machine.clocks())
    (missed,) = again.missed()
    assert again.all() == ()
    again.told(missed.id)
    assert missed.id == rung.id
    assert Timers(store, machine.clocks()).missed() == ()


@pytest.mark.parametrize("jump", [7200.0, -7200.0, 10 * 365 * 86400.0])
def test_setting_the_wall_clock_neither_rings_nor_stalls_a_timer(
    machine: Machine, store: Store, timers: Timers, jump: float
) -> None:
    timers.start(300)
    machine.pass_s(100)
    machine.wall += jump
    assert timers.due() == ()
    assert timers.next_due() == pytest.approx(200)
    again = Timers(store, machine.clocks())
    assert again.missed() == ()
    assert again.next_due() == pytest.approx(200)
    machine.pass_s(200)
    assert len(again.due()) == 1


@pytest.mark.parametrize("jump", [7200.0, -7200.0])
def test_a_wall_clock_that_was_set_is_right_again_at_the_next_start_of_the_machine(
    machine: Machine, store: Store, timers: Timers, jump: float
) -> None:
    timers.start(300)
    machine.wall += jump
    timers.follow_clock()
    machine.reboot(off_s=100)
    again = Timers(store, machine.clocks())
    assert again.missed() == ()
    assert again.next_due() == pytest.approx(200)


def test_following_a_clock_that_nobody_set_writes_nothing(machine: Machine, store: Store, timers: Timers) -> None:
    timers.start(300)
    with store.reading() as connection:
        before = connection.total_changes
        machine.pass_s(50)
        timers.follow_clock()
        assert connection.total_changes == before


def test_a_machine_that_wakes_in_the_past_keeps_no_timer_longer_than_it_is(
    machine: Machine, store: Store, timers: Timers
) -> None:
    timers.start(300)
    machine.reboot(off_s=-1_000_000)
    assert Timers(store, machine.clocks()).next_due() == pytest.approx(300)


def test_a_machine_without_a_name_for_its_boot_goes_by_the_wall_clock(machine: Machine, store: Store) -> None:
    nameless = Clocks(lambda: machine.wall, lambda: machine.monotonic)
    Timers(store, nameless).start(300)
    machine.reboot(off_s=100)
    assert Timers(store, nameless).next_due() == pytest.approx(200)


def test_a_timer_that_cannot_be_kept_is_refused_but_one_that_is_due_rings(
    machine: Machine, store: Store, timers: Timers, caplog
) -> None:
    timers.start(10, "tea")
    with store.reading() as connection:
        connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreError, match="cannot be kept"):
        timers.start(20)
    assert len(timers.all()) == 1
    machine.pass_s(10)
    assert [timer.name for timer in timers.due()] == ["tea"]
    assert timers.due() == ()
    timers.told(1)
    assert "may be told again" in caplog.text


def test_the_boot_of_this_machine_has_a_name_that_stays() -> None:
    assert this_boot() == this_boot()


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens, each timer is told at most once, when it is due, and none is forgotten."""

    timers = Bundle("timers")

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.machine = Machine(Path(self.folder.name) / "router.db")
        self.store = Store(self.machine.path).__enter__()
        self.kept = Timers(self.store, self.machine.clocks())
        self.left: dict[int, float] = {}
        self.paused: set[int] = set()
        self.told: list[int] = []

    @rule(target=timers, seconds=st.integers(1, 400))
    def one_is_started(self, seconds: int) -> int:
        timer = self.kept.start(seconds)
        self.left[timer.id] = seconds
        return timer.id

    @rule(seconds=st.integers(1, 400))
    def time_passes(self, seconds: int) -> None:
        self.machine.pass_s(seconds)
        self._wait(seconds)
        self.those_that_are_due_ring()

    @rule(hours=st.integers(-3, 3))
    def somebody_sets_the_clock(self, hours: int) -> None:
        self.machine.wall += hours * 3600
        self.kept.follow_clock()

    @rule()
    def the_worker_is_restarted(self) -> None:
        self.kept = Timers(self.store, self.machine.clocks())

    @rule(seconds=st.integers(1, 400))
    def the_worker_is_away_for_a_while(self, seconds: int) -> None:
        self.machine.pass_s(seconds)
        self._wait(seconds)
        self.kept = Timers(self.store, self.machine.clocks())

    @rule(seconds=st.integers(1, 400))
    def the_machine_is_restarted(self, seconds: int) -> None:
        self.machine.reboot(seconds)
        self._wait(seconds)
        self.kept = Timers(self.store, self.machine.clocks())

    @rule(timer=timers)
    def one_is_cancelled(self, timer: int) -> None:
        if self.kept.cancel(timer):
            self.left.pop(timer)
            self.paused.discard(timer)

    @rule(timer=timers)
    def one_is_paused(self, timer: int) -> None:
        if self.kept.pause(timer):
            self.paused.add(timer)

    @rule(timer=timers)
    def one_is_resumed(self, timer: int) -> None:
        self.kept.resume(timer)
        self.paused.discard(timer)

    @rule(timer=timers, seconds=st.integers(1, 400))
    def one_is_extended(self, timer: int, seconds: int) -> None:
        if self.kept.extend(timer, seconds):
            self.left[timer] += seconds

    @rule()
    def nobody_is_there_to_hear(self) -> None:
        self.kept.untold(*(rung.id for rung in (*self.kept.missed(), *self.kept.due())))

    @rule()
    def those_that_are_due_ring(self) -> None:
        for rung in (*self.kept.missed(), *self.kept.due()):
            assert rung.id not in self.told
            assert rung.id not in self.paused
            assert self.left.pop(rung.id) < 0.01
            self.told.append(rung.id)
            self.kept.told(rung.id)
        assert all(left > -0.01 for timer, left in self.left.items() if timer not in self.paused)
        assert {timer.id: timer.left_s for timer in self.kept.all()} == pytest.approx(self.left, abs=0.01)

    def teardown(self) -> None:
        if not hasattr(self, "store"):
            return
        try:
            self.those_that_are_due_ring()
        finally:
            self.store.__exit__(None, None, None)
            self.folder.cleanup()

    def _wait(self, seconds: float) -> None:
        for timer in self.left.keys() - self.paused:
            self.left[timer] -= seconds


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
