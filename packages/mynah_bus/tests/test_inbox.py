"""The bounded queue before a handler."""

from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_bus.inbox import Inbox, StreamInbox

ITEMS = st.lists(st.integers(1, 5), max_size=40)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(priorities=ITEMS, capacity=st.integers(1, 10))
def test_a_full_inbox_of_work_turns_the_new_away_and_keeps_the_rest(priorities: list[int], capacity: int) -> None:
    inbox: Inbox[int] = Inbox(capacity)
    gone = [inbox.put(number, priority) for number, priority in enumerate(priorities)]
    assert gone == [None] * len(priorities[:capacity]) + list(range(capacity, len(priorities)))
    kept = sorted(range(len(priorities[:capacity])), key=lambda number: (priorities[number], number))
    assert list(inbox.drain()) == kept


@settings(max_examples=100, deadline=None, derandomize=True)
@given(priorities=ITEMS, capacity=st.integers(1, 10))
def test_a_full_inbox_of_a_stream_lets_the_oldest_go(priorities: list[int], capacity: int) -> None:
    inbox: Inbox[int] = StreamInbox(capacity)
    gone = [inbox.put(number, priority) for number, priority in enumerate(priorities)]
    surplus = max(0, len(priorities) - capacity)
    assert [each for each in gone if each is not None] == list(range(surplus))
    assert len(inbox) == min(len(priorities), capacity)
    assert sorted(inbox.drain()) == list(range(surplus, len(priorities)))


def test_no_room_at_all_lets_everything_go() -> None:
    inbox: Inbox[str] = StreamInbox(0)
    assert inbox.put("now", 3) == "now"
    assert not inbox
