import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mynah_audio.pcm import from_float
from mynah_audio.spectrum import levels


@pytest.mark.req("STT-05")
@pytest.mark.parametrize("hertz", [200, 1_000, 3_000, 7_000])
def test_a_tone_stands_out_in_its_own_band(hertz, tone):
    shown = levels(from_float(tone(hertz, 16_000, amplitude=0.99)))
    assert shown.shape == (64,)
    band = 64 * np.log(hertz / 60) / np.log(8_000 / 60)
    assert abs(int(shown.argmax()) - band) <= 3
    assert shown.max() == pytest.approx(1.0, abs=0.02)


def test_20_db_less_is_a_fixed_step_lower(tone):
    loud, quiet = (levels(from_float(tone(1_000, 16_000, amplitude=a))).max() for a in (0.9, 0.09))
    assert loud - quiet == pytest.approx(20 / 90, abs=0.01)


def test_silence_and_nothing_have_no_level():
    assert not levels(np.zeros(320, np.int16)).any()
    assert not levels(np.empty(0, np.int16)).any()


@given(arrays(np.int16, st.integers(0, 1_500)), st.integers(1, 256))
@settings(derandomize=True, deadline=None)
def test_levels_are_always_between_0_and_1(samples, bins):
    shown = levels(samples, bins)
    assert len(shown) == bins
    assert ((shown >= 0) & (shown <= 1)).all()
