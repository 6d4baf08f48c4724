"""The end of speech: a state machine fed with frames and the probability of a voice in each; it knows no clock."""

from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import numpy as np

from mynah_audio.pcm import SAMPLE_RATE, Samples


class State(StrEnum):
    """How far an utterance is."""

    WAITING = "waiting"
    """Nobody has spoken long enough yet."""
    SPEECH = "speech"
    ENDED = "ended"
    """Silence followed speech."""
    TOO_LONG = "too_long"
    """Speech was cut at the greatest length."""
    NO_SPEECH = "no_speech"
    """Patience ran out while waiting."""

    @property
    def is_final(self) -> bool:
        """Whether only a reset leads on."""
        return self not in {State.WAITING, State.SPEECH}


@dataclass(frozen=True)
class Endpointing:
    """When speech begins and ends."""

    silence: timedelta = timedelta(milliseconds=500)
    """Silence that ends an utterance."""
    silence_when_complete: timedelta = timedelta(milliseconds=200)
    """Silence that ends an utterance already known to be a whole sentence."""
    pre_roll: timedelta = timedelta(milliseconds=300)
    """Sound kept from before the voice, whose soft onset is judged too late."""
    hangover: timedelta = timedelta(milliseconds=120)
    """A pause that does not interrupt the speech needed for a start."""
    shortest_speech: timedelta = timedelta(milliseconds=100)
    """What is shorter is a click or a cough."""
    longest: timedelta = timedelta(seconds=30)
    """Length of a recording, pre-roll included, at which it is cut."""
    patience: timedelta | None = timedelta(seconds=6)
    """How long to wait for a voice; None: forever."""
    voice_above: float = 0.5
    """Probability from which a voice begins."""
    silence_below: float = 0.35
    """Probability below which a voice ends."""


class Endpointer:
    """Finds one utterance in a stream of frames, which may be of any length; `reset` makes it ready for the next."""

    def __init__(self, settings: Endpointing | None = None) -> None:
        self._settings = settings or Endpointing()
        self._silence_needed = _samples(self._settings.silence)
        self._silence_when_complete = _samples(self._settings.silence_when_complete)
        self._pre_roll = _samples(self._settings.pre_roll)
        self._hangover = _samples(self._settings.hangover)
        self._shortest = _samples(self._settings.shortest_speech)
        self._longest = _samples(self._settings.longest)
        self._patience = None if self._settings.patience is None else _samples(self._settings.patience)
        self.reset()

    def reset(self) -> None:
        """Wait for another utterance; what was heard is forgotten."""
        self._state = State.WAITING
        self._frames: deque[Samples] = deque()
        self._length = 0
        self._waited = 0
        self._is_voiced = False
        self._speech = 0
        self._quiet = 0
        self._complete_at: int | None = None

    @property
    def state(self) -> State:
        """How far the utterance is."""
        return self._state

    @property
    def recording(self) -> Samples:
        """What was kept: the pre-roll while waiting, from there to now in speech, all of it at the end."""
        return np.concatenate(self._frames) if self._frames else np.empty(0, np.int16)

    @property
    def length(self) -> int:
        """Samples of the recording."""
        return self._length

    @property
    def spoken(self) -> int:
        """Samples of the recording up to the end of the last voice in it."""
        return max(0, self._length - self._quiet)

    def push(self, frame: Samples, probability: float) -> State:
        """Hear a frame, with the probability of a voice in it; ignored once the state is final."""
        if self._state.is_final:
            return self._state
        self._frames.append(frame)
        self._length += len(frame)
        threshold = self._settings.silence_below if self._is_voiced else self._settings.voice_above
        self._is_voiced = probability >= threshold
        self._quiet = 0 if self._is_voiced else self._quiet + len(frame)
        self._state = self._waiting(len(frame)) if self._state is State.WAITING else self._speaking()
        return self._state

    def complete(self, heard: int) -> None:
        """A hint: the first `heard` samples of the recording are a whole sentence, so that less silence ends it.

        It counts only if nobody has spoken since.
        """
        self._complete_at = heard

    def _waiting(self, length: int) -> State:
        self._waited += length
        if self._is_voiced or (self._speech and self._quiet <= self._hangover):
            self._speech += length
        else:
            self._speech = 0
            self._trim(self._pre_roll)
        if self._is_voiced and self._speech >= self._shortest:
            return State.SPEECH
        if not self._speech and self._patience is not None and self._waited >= self._patience:
            return State.NO_SPEECH
        return State.WAITING

    def _speaking(self) -> State:
        is_complete = self._complete_at is not None and self._complete_at >= self.spoken
        if self._quiet >= (self._silence_when_complete if is_complete else self._silence_needed):
            return State.ENDED
        return State.TOO_LONG if self._length >= self._longest else State.SPEECH

    def _trim(self, most: int) -> None:
        while self._frames and self._length - len(self._frames[0]) >= most:
            self._length -= len(self._frames.popleft())


def _samples(duration: timedelta) -> int:
    return round(duration.total_seconds() * SAMPLE_RATE)
