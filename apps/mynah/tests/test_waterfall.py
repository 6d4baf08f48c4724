"""The picture of where the time went."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mynah.waterfall import duration, waterfall
from mynah_contracts import Step

STEPS = (
    Step(name="listening", ms=200),
    Step(name="transcribing", ms=400),
    Step(name="thinking", ms=1),
    Step(name="speaking", ms=199),
)


def picture(width, steps=STEPS):
    return [line.plain for line in waterfall(steps, sum(step.ms for step in steps), width)]


def test_each_step_begins_below_the_end_of_the_one_before():
    assert picture(43) == [
        "listening      200 ms  ━━━━━",
        "transcribing   400 ms       ━━━━━━━━━━",
        "thinking         1 ms                 ╸",
        "speaking       199 ms                 ━━━━━",
        "together       800 ms",
    ]


def test_a_narrow_terminal_gets_the_figures_only():
    assert picture(26)[0] == "listening      200 ms"


def test_the_longest_step_stands_out():
    styles = [{span.style for span in line.spans} for line in waterfall(STEPS, 800, 43)]

    assert ["bold" in each for each in styles] == [False, True, False, False, False]


@pytest.mark.parametrize(("ms", "words"), [(0.2, "0 ms"), (999.4, "999 ms"), (999.6, "1.00 s"), (12_345, "12.35 s")])
def test_long_times_are_told_in_seconds(ms, words):
    assert duration(ms) == words


@given(
    st.lists(st.floats(0, 6e4), max_size=8).map(lambda times: [Step(name="thinking", ms=ms) for ms in times]),
    st.integers(0, 200),
)
def test_whatever_the_times_every_step_has_a_line_that_fits(steps, width):
    lines = picture(width, steps)

    assert len(lines) == len(steps) + 1
    assert all(len(line) <= max(width, 23) for line in lines)
    if width >= 27:
        assert all(line.endswith(("━", "╸", "╺")) for line in lines[:-1])
