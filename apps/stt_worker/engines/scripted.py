"""A recogniser for tests and demonstrations: hears the same in every recording."""

from collections.abc import Mapping
from typing import Any, Final, Self

from stt_worker.engines import SAMPLE_RATE, Learned, Partial, Samples, Transcription

TEXT: Final = "this is a scripted question"


class Scripted:
    """Hears `text`, however long the recording is; nothing in an empty one."""

    name: Final = "scripted"

    def __init__(self, text: str = TEXT) -> None:
        self._text = text

    def open(self) -> Self:
        """Open; there is nothing to load."""
        return self

    def learn(self, _intents: Mapping[str, Any] | None) -> Learned:
        """Expect what it always hears."""
        return Learned(mode="dictation", words=len(self._text.split()), templates=1, lost_templates=0, dropped={})

    def transcribe(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Transcription:
        """The text, with full confidence."""
        heard = self._text if len(audio) else ""
        seconds = len(audio) / sample_rate
        return Transcription(
            heard,
            float(bool(heard)),
            {"engine": self.name, "mode": "dictation", "audio_s": seconds, "language": language or "en"},
        )

    def partial(self, audio: Samples, sample_rate: int = SAMPLE_RATE, language: str | None = None) -> Partial:
        """The text, which is a whole sentence."""
        return Partial(self.transcribe(audio, sample_rate, language).text, is_complete=bool(len(audio)))
