import sys

from mynah_resilience.window import OutcomeWindow


def test_outcomes_count_as_long_as_the_window_is() -> None:
    window = OutcomeWindow(60)
    window.add(0.0, success=True)
    window.add(30.0, success=False)
    assert window.counts(59.9) == (1, 1)
    assert window.counts(60.0) == (0, 1)
    assert window.counts(90.0) == (0, 0)


def test_a_window_that_nobody_looks_at_stays_small() -> None:
    window = OutcomeWindow(60)
    before = sys.getallocatedblocks()
    for second in range(100_000):
        window.add(second, success=True)
    assert sys.getallocatedblocks() - before < 1_000
    assert window.counts(100_000) == (59, 0)
