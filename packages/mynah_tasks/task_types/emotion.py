"""emotion_analysis: how somebody feels, by the melody of the voice and by the words.

Rules and a small English word list, not a trained model: good for a hint, not for a diagnosis.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal, Self

from pydantic import model_validator

from mynah_tasks.task_types.prosody import Prosody, measure
from mynah_tasks.task_types.sound import Recording, SampleRate, Sound
from mynah_tasks.task_types.typed import Payload, typed
from mynah_tasks.task_types.words import Feeling, feelings, words_of

LONGEST_TEXT = 100_000
PLACES = {
    "neutral": (0.0, 0.0),
    "happy": (0.8, 0.4),
    "excited": (0.4, 0.9),
    "angry": (-0.7, 0.7),
    "fearful": (-0.6, 0.4),
    "sad": (-0.8, -0.4),
    "calm": (0.3, -0.7),
}
"""Each emotion by how pleasant and how aroused it is, both from -1 to 1."""
SHARPNESS = 3.0
"""How much an emotion that is near is preferred to one that is far."""


class EmotionAnalysis(Payload):
    """Something that was said: its recording, its words, or both."""

    audio_data: Recording = None
    sample_rate: SampleRate = 44_100
    text: str | None = None
    analysis_type: Literal["comprehensive", "audio", "text"] = "comprehensive"
    """Comprehensive takes what there is."""

    @model_validator(mode="after")
    def _has_what_is_analysed(self) -> Self:
        silent, wordless = self.audio_data is None, not self.text
        if self.analysis_type == "audio" and silent:
            raise ValueError("an analysis of audio needs audio_data")
        if self.analysis_type == "text" and wordless:
            raise ValueError("an analysis of text needs a text")
        if silent and wordless:
            raise ValueError("a comprehensive analysis needs audio_data or a text")
        return self


class Emotion(Payload):
    """What was found."""

    emotion: str
    score: float
    """0 to 1: the share of this emotion among all."""
    scores: dict[str, float]
    valence: float
    """Unpleasant -1 to pleasant 1; 0 without words, for melody does not tell."""
    arousal: float
    """Asleep -1 to shouting 1."""
    words: tuple[str, ...] = ()
    prosody: dict[str, float] | None = None


@typed
def analyse(request: EmotionAnalysis) -> Emotion:
    """Weigh the voice and the words."""
    found = list(feelings(words_of((request.text or "")[:LONGEST_TEXT]))) if request.analysis_type != "audio" else []
    prosody = None
    if request.audio_data is not None and request.analysis_type != "text":
        sound = Sound.decode(request.audio_data, request.sample_rate)
        prosody = measure(sound.samples, sound.sample_rate)
    valence, arousal = _place(found, prosody)
    scores = _scores(found, valence, arousal)
    emotion = max(scores, key=scores.__getitem__)
    return Emotion(
        emotion=emotion,
        score=scores[emotion],
        scores=scores,
        valence=valence,
        arousal=arousal,
        words=tuple(feeling.word for feeling in found),
        prosody=None if prosody is None else asdict(prosody),
    )


def _place(found: Sequence[Feeling], prosody: Prosody | None) -> tuple[float, float]:
    """Valence and arousal; of the two sources of arousal both count alike."""
    weight = sum(feeling.weight for feeling in found)
    valence, arousal = (
        (sum(PLACES[feeling.emotion][axis] * feeling.weight for feeling in found) / weight for axis in (0, 1))
        if weight
        else (0.0, 0.0)
    )
    if prosody is not None:
        arousal = (arousal + prosody.arousal) / 2 if weight else prosody.arousal
    return valence, arousal


def _scores(found: Sequence[Feeling], valence: float, arousal: float) -> dict[str, float]:
    """How near each emotion is, and how often words name it; together 1."""
    closeness = {
        emotion: math.exp(
            -SHARPNESS * ((valence - place[0]) ** 2 + (arousal - place[1]) ** 2)
            + sum(feeling.weight for feeling in found if feeling.emotion == emotion) / math.sqrt(len(found) or 1)
        )
        for emotion, place in PLACES.items()
    }
    total = sum(closeness.values())
    return {emotion: value / total for emotion, value in closeness.items()}
