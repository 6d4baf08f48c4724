from hypothesis import given
from hypothesis import strategies as st

from mynah_tasks.alarms import Alarms


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans())), st.floats(0, 100))
def test_what_is_due_and_not_cancelled_comes_out_in_order(wanted: list[tuple[float, bool]], now: float) -> None:
    alarms: Alarms[int] = Alarms()
    for number, (when, is_cancelled) in enumerate(wanted):
        alarm = alarms.set(when, number)
        if is_cancelled:
            alarms.cancel(alarm)
    remaining = [(when, number) for number, (when, is_cancelled) in enumerate(wanted) if not is_cancelled]
    due = []
    while (number := alarms.pop_due(now)) is not None:
        due.append(number)
    assert due == [number for when, number in sorted(remaining) if when <= now]
    assert alarms.next_due == min((when for when, _ in remaining if when > now), default=None)


def test_cancelled_alarms_do_not_pile_up() -> None:
    alarms: Alarms[str] = Alarms()
    alarms.set(1e9, "the one that stays")
    for _ in range(10_000):
        alarms.cancel(alarms.set(1e6, "gone"))
    assert len(alarms._heap) < 200
