import numpy as np
import pytest

from mynah_tasks.task_types import BadPayload
from mynah_tasks.task_types.emotion import PLACES, analyse
from mynah_tasks.task_types.prosody import measure

RATE = 16_000


def voice(*, pitch=150.0, melody=1.0, syllables_per_second=3.0, effort=0.1, swing=0.3, seconds=3.0):
    """A buzzing voice: harmonics of a pitch that wanders by `melody` semitones, opened and closed like syllables."""
    time = np.arange(int(seconds * RATE)) / RATE
    frequency = pitch * 2 ** (melody / 12 * np.sin(2 * np.pi * 0.7 * time))
    phase = 2 * np.pi * np.cumsum(frequency) / RATE
    sound = sum(effort ** (np.log2(number)) * np.sin(number * phase) for number in range(1, 20))
    opening = np.sin(np.pi * syllables_per_second * time) ** 2 * (1 + swing * np.sin(2 * time))
    return (0.2 * sound * opening / np.abs(sound).max()).astype(np.float32)


SLEEPY = voice(pitch=110, melody=0.5, syllables_per_second=2, effort=0.1, swing=0.1)
LIVELY = voice(pitch=220, melody=12, syllables_per_second=6, effort=0.7, swing=0.9)


@pytest.mark.parametrize("pitch", [80, 150, 300, 450])
def test_the_pitch_of_a_voice_is_found(pitch):
    assert measure(voice(pitch=pitch, melody=0), RATE).pitch_hz == pytest.approx(pitch, rel=0.03)


def test_a_wandering_pitch_has_a_range():
    assert measure(voice(melody=0), RATE).pitch_range < 1
    assert 6 < measure(voice(melody=6), RATE).pitch_range < 13


def test_syllables_are_counted():
    assert measure(voice(syllables_per_second=4), RATE).pace == pytest.approx(4, abs=1)


@pytest.mark.parametrize("factor", [0.01, 0.1, 1])
def test_the_distance_of_the_microphone_makes_no_difference(factor):
    assert measure(LIVELY * np.float32(factor), RATE).arousal == pytest.approx(measure(LIVELY, RATE).arousal, abs=0.02)


@pytest.mark.parametrize("sound", [np.zeros(RATE), np.zeros(1), np.random.default_rng(3).normal(0, 0.1, RATE)])
def test_what_is_no_voice_has_no_prosody(sound):
    prosody = measure(sound.astype(np.float32), RATE)
    assert (prosody.voiced_share, prosody.arousal) == (0.0, 0.0)


@pytest.mark.req("STT-10", "ENG-03")
def test_a_lively_voice_is_excited_and_a_sleepy_one_is_calm():
    lively = analyse({"audio_data": LIVELY, "sample_rate": RATE})
    sleepy = analyse({"audio_data": SLEEPY, "sample_rate": RATE})
    assert (lively["emotion"], sleepy["emotion"]) == ("excited", "calm")
    assert lively["arousal"] > 0.3 > -0.3 > sleepy["arousal"]


@pytest.mark.req("STT-10", "ENG-03")
@pytest.mark.parametrize(
    ("text", "emotion"),
    [
        ("I am so happy today!", "happy"),
        ("I'm not happy at all", "sad"),
        ("I\u2019m not happy", "sad"),
        ("This is unfair, I hate it", "angry"),
        ("There is a monster and I am scared", "fearful"),
        ("I miss my grandma, she is gone", "sad"),
        ("Wow, this is amazing", "excited"),
        ("We feel peaceful and relaxed", "calm"),
        ("Turn on the light in the kitchen", "neutral"),
    ],
)
def test_words_give_a_label_with_a_score(text, emotion):
    result = analyse({"text": text})
    assert result["emotion"] == emotion
    assert result["score"] == max(result["scores"].values())
    assert sum(result["scores"].values()) == pytest.approx(1)
    assert set(result["scores"]) == set(PLACES)


@pytest.mark.req("STT-10")
def test_a_comprehensive_analysis_weighs_voice_and_words():
    words = "we won"
    alone = analyse({"text": f"great, {words}"})
    both = analyse(
        {"text": f"great, {words}", "audio_data": LIVELY, "sample_rate": RATE, "analysis_type": "comprehensive"}
    )
    assert both["words"] == ("great",)
    assert both["prosody"]["pitch_range"] > 5
    assert both["valence"] == alone["valence"]
    assert both["arousal"] != alone["arousal"]
    assert both["scores"]["excited"] > alone["scores"]["excited"]


@pytest.mark.parametrize(("analysis_type", "empty"), [("audio", "words"), ("text", "prosody")])
def test_a_single_analysis_looks_at_nothing_else(analysis_type, empty):
    result = analyse({"text": "great", "audio_data": LIVELY, "sample_rate": RATE, "analysis_type": analysis_type})
    assert not result[empty]


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({}, "a comprehensive analysis needs audio_data or a text"),
        ({"text": ""}, "a comprehensive analysis needs"),
        ({"text": "hi", "analysis_type": "audio"}, "an analysis of audio needs audio_data"),
        ({"audio_data": LIVELY, "analysis_type": "text"}, "an analysis of text needs a text"),
        ({"text": "hi", "analysis_type": "palm"}, "analysis_type"),
    ],
)
def test_an_analysis_of_nothing_is_refused(payload, said):
    with pytest.raises(BadPayload, match=said):
        analyse(payload)
