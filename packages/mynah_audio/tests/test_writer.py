import wave

import numpy as np
import pytest

from mynah_audio.recording import load
from mynah_audio.writer import WavWriter


def test_a_file_is_readable_while_it_grows_and_after_it_is_closed(tmp_path):
    file = tmp_path / "a.wav"
    with WavWriter(file) as writer:
        assert load(file).samples.tolist() == []
        for number in range(1, 4):
            writer.write(np.full(2, number, np.int16))
            assert load(file).samples.tolist() == [n for n in range(1, number + 1) for _ in range(2)]
    assert load(file).samples.tolist() == [1, 1, 2, 2, 3, 3]
    assert file.stat().st_size == 44 + 12


def test_others_read_the_file_while_it_grows(tmp_path):
    with WavWriter(tmp_path / "a.wav", 22_050) as writer:
        writer.write(np.arange(5, dtype=np.int16))
        with wave.open(str(tmp_path / "a.wav")) as growing:
            assert growing.getframerate() == 22_050
            assert growing.readframes(100) == np.arange(5, dtype="<i2").tobytes()


def test_the_length_is_in_the_header_once_the_file_is_closed(tmp_path):
    with WavWriter(tmp_path / "a.wav") as writer:
        writer.write(np.arange(5, dtype=np.int16))
    with wave.open(str(tmp_path / "a.wav")) as whole:
        assert whole.getnframes() == 5


def test_closing_twice_does_nothing_and_writing_after_it_is_an_error(tmp_path):
    writer = WavWriter(tmp_path / "a.wav")
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed file"):
        writer.write(np.zeros(1, np.int16))
    assert load(tmp_path / "a.wav").samples.tolist() == []
