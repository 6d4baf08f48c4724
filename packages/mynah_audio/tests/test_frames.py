import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mynah_audio.frames import FRAME_SAMPLES, Framer


@given(st.lists(st.integers(0, 1_000), max_size=12))
@settings(derandomize=True, deadline=None)
def test_pieces_of_any_length_become_frames_of_one_length(lengths):
    sound = np.arange(sum(lengths), dtype=np.int16)
    framer = Framer()
    pieces = np.split(sound, np.cumsum(lengths)[:-1]) if lengths else []
    frames = [frame for piece in pieces for frame in framer.push(piece)]
    assert all(len(frame) == FRAME_SAMPLES for frame in frames)
    assert len(frames) == len(sound) // FRAME_SAMPLES
    frames.extend(framer.finish())
    assert all(len(frame) == FRAME_SAMPLES for frame in frames)
    joined = np.concatenate(frames) if frames else np.empty(0, np.int16)
    assert np.array_equal(joined[: len(sound)], sound)
    assert not joined[len(sound) :].any()
    assert len(joined) - len(sound) < FRAME_SAMPLES


def test_nothing_is_left_after_the_end():
    framer = Framer()
    list(framer.push(np.ones(10, np.int16)))
    assert len(list(framer.finish())) == 1
    assert list(framer.finish()) == []
