"""Wake words: the phrase that opens the ears."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from mynah_audio.pcm import Samples, to_bytes

WAKE_WORDS: Final = ("okay_nabu", "hey_jarvis", "hey_mycroft", "alexa")
"""The phrases whose models are always at hand."""


class Detection(NamedTuple):
    """A wake word that was heard."""

    phrase: str
    confidence: float
    """0 to 1."""


class WakeWord(Protocol):
    """Waits for a phrase in one stream of sound."""

    def push(self, samples: Samples) -> Detection | None:
        """The phrase that ends in these samples, if one does; each utterance of it is told once."""

    def reset(self) -> None:
        """Forget the stream; another one begins."""


class MicroWakeWord:
    """The networks of microWakeWord, loaded when made; several phrases can be waited for at once."""

    def __init__(self, phrases: Sequence[str] = ("okay_nabu",), *, threshold: float | None = None) -> None:
        unknown = sorted(set(phrases) - set(WAKE_WORDS))
        if unknown or not phrases:
            raise ValueError(f"no wake word {', '.join(unknown) or 'given'}; there are {', '.join(WAKE_WORDS)}")
        import pymicro_wakeword  # noqa: PLC0415  # loads a native library

        self._features = pymicro_wakeword.MicroWakeWordFeatures()
        self._networks = [
            pymicro_wakeword.MicroWakeWord.from_builtin(pymicro_wakeword.Model(phrase)) for phrase in phrases
        ]
        self._threshold = threshold

    def push(self, samples: Samples) -> Detection | None:
        """The phrase that ends in these samples, if one does; each utterance of it is told once."""
        for features in self._features.process_streaming(to_bytes(samples)):
            for network in self._networks:
                confidence = network.process_streaming_prob(features) or 0.0
                cutoff = network.probability_cutoff if self._threshold is None else self._threshold
                if confidence > cutoff:
                    # Without it, what the network still remembers fires again at once.
                    self.reset()
                    return Detection(network.id, min(confidence, 1.0))
        return None

    def reset(self) -> None:
        """Forget the stream; another one begins."""
        self._features.reset()
        for network in self._networks:
            network.reset()
