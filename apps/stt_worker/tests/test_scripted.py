"""The recogniser for tests and demonstrations."""

from pathlib import Path

import numpy as np
import pytest

from stt_worker.engines.choice import choose

RECORDING = np.zeros(16_000, np.int16)


@pytest.fixture
def engine():
    return choose("scripted", Path()).make().open()


def test_it_hears_the_same_in_every_recording(engine):
    heard = engine.transcribe(RECORDING)

    assert heard.text == engine.transcribe(RECORDING[:100]).text == "this is a scripted question"
    assert heard.confidence == 1
    assert heard.metrics["audio_s"] == 1


def test_it_hears_nothing_in_an_empty_recording(engine):
    assert engine.transcribe(RECORDING[:0]).text == ""
    assert not engine.partial(RECORDING[:0]).is_complete


def test_what_it_hears_is_a_whole_sentence_at_any_time(engine):
    assert engine.partial(RECORDING[:100]) == ("this is a scripted question", True)
