"""From frames to utterances: wake word, voice activity, end of speech; no clock and no I/O of its own."""

from collections import deque
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, TypeAlias

import numpy as np

from mynah_audio.endpoint import Endpointer, Endpointing, State
from mynah_audio.pcm import SAMPLE_RATE, Samples, level
from mynah_audio.vad import VoiceDetector
from mynah_audio.wake import WakeWord

_LOUDNESS_FRAMES: Final = 50


@dataclass(frozen=True)
class WakeHeard:
    """The wake word was spoken; what follows is listened to."""

    phrase: str
    confidence: float
    energy: float
    """Loudness of the last second in dBFS."""


@dataclass(frozen=True)
class SpeechStarted:
    """Somebody has begun to speak."""


@dataclass(frozen=True, eq=False)
class Partial:
    """What has been said so far: again and again, and as soon as the speaker pauses."""

    seq: int
    """Grows for ever, so that an answer which comes late can be told apart."""
    samples: Samples


@dataclass(frozen=True, eq=False)
class Utterance:
    """What somebody said, with some sound before and the silence after it."""

    samples: Samples
    silence: timedelta
    """How long the silence at its end is."""
    is_cut: bool
    """Whether the speaker had not finished: the utterance grew too long, or the sound ended."""


@dataclass(frozen=True)
class NothingHeard:
    """Nobody spoke though they were listened to."""


Event: TypeAlias = WakeHeard | SpeechStarted | Partial | Utterance | NothingHeard


class Listener:
    """Listens after a wake word, for one utterance; without a wake word always, and with endless patience."""

    def __init__(
        self,
        vad: VoiceDetector,
        *,
        wake: WakeWord | None = None,
        endpointing: Endpointing | None = None,
        partial_every: timedelta = timedelta(milliseconds=600),
    ) -> None:
        settings = endpointing or Endpointing()
        self._vad = vad
        self._wake = wake
        self._endpointer = Endpointer(replace(settings, patience=None) if wake is None else settings)
        self._partial_every = round(partial_every.total_seconds() * SAMPLE_RATE)
        # Early enough for the words so far to be understood before the shorter silence is over.
        self._lull = round(settings.silence_when_complete.total_seconds() * SAMPLE_RATE / 2)
        self._recent: deque[Samples] = deque(maxlen=_LOUDNESS_FRAMES)
        self._seq = 0
        self._partials: dict[int, int] = {}
        self._is_listening = wake is None

    @property
    def is_listening(self) -> bool:
        """Whether what is said now becomes an utterance."""
        return self._is_listening

    def push(self, frame: Samples) -> tuple[Event, ...]:
        """Hear the next frame; what follows from it."""
        return self._listen_to(frame) if self._is_listening else self._wait_with(frame)

    def finish(self) -> tuple[Event, ...]:
        """The sound has ended; what follows from it."""
        if not self._is_listening:
            return ()
        is_speech = self._endpointer.state is State.SPEECH
        return (self._utterance(is_cut=True),) if is_speech else self._nothing_heard()

    def listen(self) -> None:
        """Listen from now on, as after the wake word: somebody pushed a button, or is to answer a question."""
        self._begin()
        if not self._is_listening:
            self._vad.reset()
        self._is_listening = True

    def sleep(self) -> None:
        """Forget what is being said and wait for the wake word; without one, for the next utterance."""
        self._begin()
        self._is_listening = self._wake is None

    def complete(self, seq: int) -> None:
        """A hint: that partial is a whole sentence, so that less silence ends it if nobody has spoken since."""
        heard = self._partials.get(seq)
        if heard is not None:
            self._endpointer.complete(heard)

    def _wait_with(self, frame: Samples) -> tuple[Event, ...]:
        self._recent.append(frame)
        heard = self._wake.push(frame) if self._wake else None
        if heard is None:
            return ()
        energy = level(np.concatenate(self._recent))
        self.listen()
        return (WakeHeard(heard.phrase, heard.confidence, energy),)

    def _listen_to(self, frame: Samples) -> tuple[Event, ...]:
        before = self._endpointer.state
        state = self._endpointer.push(frame, self._vad.push(frame))
        if state is State.NO_SPEECH:
            return self._nothing_heard()
        started = (SpeechStarted(),) if before is State.WAITING and state is State.SPEECH else ()
        if state.is_final:
            return (*started, self._utterance(is_cut=state is State.TOO_LONG))
        if state is State.SPEECH and self._is_partial_due():
            return (*started, self._partial())
        return started

    def _is_partial_due(self) -> bool:
        told = max(self._partials.values(), default=0)
        length, spoken = self._endpointer.length, self._endpointer.spoken
        return spoken > told and (length - told >= self._partial_every or length - spoken >= self._lull)

    def _partial(self) -> Partial:
        self._seq += 1
        self._partials[self._seq] = self._endpointer.length
        return Partial(self._seq, self._endpointer.recording)

    def _utterance(self, *, is_cut: bool) -> Utterance:
        silence = timedelta(seconds=(self._endpointer.length - self._endpointer.spoken) / SAMPLE_RATE)
        utterance = Utterance(self._endpointer.recording, silence, is_cut)
        self.sleep()
        return utterance

    def _nothing_heard(self) -> tuple[Event, ...]:
        self.sleep()
        return (NothingHeard(),)

    def _begin(self) -> None:
        self._endpointer.reset()
        self._partials.clear()
        self._recent.clear()
        if self._wake is not None:
            self._wake.reset()
