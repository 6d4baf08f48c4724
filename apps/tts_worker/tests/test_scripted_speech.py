"""The speech engine for tests: deterministic sound, failures and hangs on demand."""

import threading

import numpy as np
import pytest

from tts_worker.engines import SpeechError, UnknownVoiceError
from tts_worker.engines.choice import choose
from tts_worker.engines.espeak import Espeak
from tts_worker.engines.scripted import Scripted, pitch_of


def loudest_hertz(chunk, rate):
    spectrum = np.abs(np.fft.rfft(chunk[: rate // 10].astype(float)))
    return np.argmax(spectrum) * 10


def test_each_word_is_a_tone_of_its_own_pitch():
    with Scripted() as engine:
        heard = [loudest_hertz(chunk, engine.sample_rate) for chunk in engine.synthesize("hello big world")]
    assert heard == [pytest.approx(pitch_of(word), abs=10) for word in ("hello", "big", "world")]


def test_the_same_text_is_the_same_sound():
    with Scripted() as one, Scripted() as other:
        assert np.array_equal(
            np.concatenate(list(one.synthesize("a b c"))), np.concatenate(list(other.synthesize("a b c", "low")))
        )


def test_empty_text_makes_no_sound():
    with Scripted() as engine:
        assert list(engine.synthesize("  ")) == []


def test_it_fails_when_it_is_told_to():
    with Scripted(failure=SpeechError("the model broke"), after=1) as engine:
        speech = engine.synthesize("one two")
        assert len(next(speech)) == 2_400
        with pytest.raises(SpeechError, match="the model broke"):
            next(speech)


def test_a_hanging_engine_is_released_by_stop():
    with Scripted(hangs=True) as engine:
        speech = engine.synthesize("one two")
        heard = []
        listener = threading.Thread(target=lambda: heard.extend(speech))
        listener.start()
        engine.stop()
        listener.join(timeout=10)
        assert not listener.is_alive()
        assert heard == []


def test_stop_ends_what_is_playing_and_not_what_is_played_next():
    with Scripted() as engine:
        speech = engine.synthesize("one two three")
        next(speech)
        engine.stop()
        assert list(speech) == []
        assert len(list(engine.synthesize("one two three"))) == 3


def test_it_has_only_its_own_voices():
    with Scripted() as engine, pytest.raises(UnknownVoiceError):
        engine.synthesize("hello", "../etc/passwd")


def test_the_choice_says_which_engine_speaks_and_why():
    assert choose().name == "espeak"
    assert choose().why == "espeak speaks: it is built in and needs no model. Its voice is robotic."
    assert "asked for" in choose("espeak").why
    assert isinstance(choose().make(), Espeak)
    assert isinstance(choose("scripted").make(), Scripted)
