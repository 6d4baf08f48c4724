"""Times of day are read as a person reads them."""

import pytest

from tts_worker.engines.times import read_times


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("It is 3:05 PM.", "It is 3 oh 5 PM."),
        ("3:05", "3 oh 5"),
        ("at 3:05, or 4:07 p.m.", "at 3 oh 5, or 4 oh 7 p.m."),
        ("It is 12:00 AM.", "It is 12 AM."),
        ("It is 3:00.", "It is 3 o'clock."),
        ("It is 12:00.", "It is 12 o'clock."),
        ("It is 15:00.", "It is 15 hundred."),
        ("It is 15:05.", "It is 15 oh 5."),
        ("It is 00:05.", "It is 0 oh 5."),
        ("It is 00:00.", "It is midnight."),
        ("09:09", "9 oh 9"),
    ],
)
def test_a_time_is_put_into_words(written: str, read: str) -> None:
    assert read_times(written) == read


@pytest.mark.parametrize(
    "text",
    ["It is 3:15 PM.", "23:59", "1:05:30", "24:05", "3:5", "a ratio of 100:05", "0.3:05", "3:05.5", "x:05", ""],
)
def test_what_is_read_well_or_is_no_time_stays(text: str) -> None:
    assert read_times(text) == text
