"""One turn: an utterance and all that it causes, from listening to silence.

listening → transcribing → thinking → speaking → done
Each of the four may end in cancelled or failed instead; what is over stays over.

Nothing here waits or sends: the caller reports what happened, says what it is given to say, and calls `tick` when
`due_in` has passed. A report that comes too late, out of order or twice is refused: it returns False or None and
changes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from router_worker.failure import error_sentence
from router_worker.waterfall import Step, Waterfall

FILLER = "I'm working on it…"
TOO_LATE = "that took too long"


class State(StrEnum):
    """Where a turn is."""

    LISTENING = "listening"
    TRANSCRIBING = "transcribing"
    THINKING = "thinking"
    SPEAKING = "speaking"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self in {State.DONE, State.CANCELLED, State.FAILED}


class Kind(StrEnum):
    """Why a sentence is said."""

    ANSWER = "answer"
    FILLER = "filler"
    ERROR = "error"


@dataclass(frozen=True)
class Sentence:
    """Something to say; `number` counts from 1 within the turn, in the order of playing."""

    number: int
    text: str
    kind: Kind = Kind.ANSWER


@dataclass(frozen=True)
class Limits:
    """How long a person waits, in seconds."""

    # What is due after 1.9 s is heard within 2 s.
    filler_s: float = 1.9
    """From the end of speech to the filler, if there is no first sentence by then."""
    answer_s: float = 30.0
    """From the end of speech to the first sentence of the answer."""
    listening_s: float = 60.0
    """From its beginning to the end of speech."""
    silence_s: float = 30.0
    """While speaking, between signs of life, besides the time that a sentence lasts."""
    say_s: float = 15.0
    """For the voice, to make a sentence."""


class Turn:
    """The state of one turn and where its time went; `clock` is monotonic, in nanoseconds."""

    def __init__(
        self,
        clock: Callable[[], int] = time.monotonic_ns,
        *,
        typed: str | None = None,
        is_played: bool = True,
        limits: Limits | None = None,
    ) -> None:
        """A turn that listens, or thinks about what was typed.

        `is_played` is False when nobody reports what was heard of the answer: it is done when it is complete.
        """
        self._clock = clock
        self.limits = limits or Limits()
        self._is_played = is_played
        now = self._now()
        self.state = State.LISTENING if typed is None else State.THINKING
        self.transcript = typed
        """What was asked, once it is known."""
        self.is_held = False
        """Whether its sound is held: somebody paused it. What else is to be said waits where it is played."""
        self._waterfall = Waterfall(self._now, self.state.value)
        self._asked = now
        self._life = now
        self._sentences: list[Sentence] = []
        self._answered_by: str | None = None
        self._is_complete = False
        self._heard_to = 0
        self._share = 0.0
        self._lasts: dict[int, float] = {}

    @property
    def steps(self) -> tuple[Step, ...]:
        """Where the time went so far, without gaps: together exactly `total_us`."""
        return self._waterfall.steps

    @property
    def ended_step(self) -> Step | None:
        """The step that ended last."""
        return self._waterfall.ended

    @property
    def total_us(self) -> int:
        """How long the turn took, or has taken so far, in microseconds."""
        return self._waterfall.total_us

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """Everything to say so far, in order."""
        return tuple(self._sentences)

    @property
    def answer(self) -> str:
        """The answer so far, heard or not."""
        return " ".join(sentence.text for sentence in self._sentences if sentence.kind is Kind.ANSWER)

    @property
    def heard(self) -> str:
        """As much of the answer as was heard, to the last whole word."""
        if not self._is_played:
            return self.answer
        parts = []
        for sentence in self._sentences:
            if sentence.kind is not Kind.ANSWER:
                continue
            if sentence.number <= self._heard_to:
                parts.append(sentence.text)
            elif sentence.number == self._heard_to + 1:
                parts.append(_first_words(sentence.text, self._share))
        return " ".join(part for part in parts if part)

    def listened(self) -> bool:
        """Speech has ended."""
        if self.state is not State.LISTENING or self._is_late():
            return False
        self._asked = self._now()
        self._enter(State.TRANSCRIBING)
        return True

    def transcribed(self, text: str) -> bool:
        """What was said is known."""
        if self.state is not State.TRANSCRIBING or self._is_late():
            return False
        self.transcript = text
        self._enter(State.THINKING)
        return True

    def say(self, text: str, by: str) -> Sentence | None:
        """The next sentence of the answer, to be spoken at once; None unless it comes in time from who began it."""
        if not self._may_answer(by):
            return None
        self._answered_by = by
        if self.state is State.THINKING:
            self._enter(State.SPEAKING)
        self._life = self._now()
        return self._add(text, Kind.ANSWER)

    def write(self, text: str, by: str) -> bool:
        """More of an answer in writing: it goes on where it ended."""
        last = self._sentences[-1] if self._sentences else None
        if last is None or last.kind is not Kind.ANSWER:
            return self.say(text, by) is not None
        if not self._may_answer(by):
            return False
        self._sentences[-1] = replace(last, text=last.text + text)
        self._life = self._now()
        return True

    def complete(self, by: str, *, silently: bool = False) -> bool:
        """The answer has no more sentences. An answer without any is refused unless silence is the answer."""
        if not self._may_answer(by) or not (silently or self._answered_by):
            return False
        self._answered_by = by
        self._is_complete = True
        self._life = self._now()
        self._end_if_heard()
        return True

    def played(self, number: int, share: float = 1.0) -> bool:
        """A sentence, and all before it, was heard, or this share of it (0 to 1)."""
        if not self._is_said(number):
            return False
        self._hear(number, share)
        self._end_if_heard()
        return True

    def lasts(self, number: int, seconds: float) -> None:
        """A sentence has been made, and takes so long to be heard."""
        self._lasts[number] = seconds

    def share(self, number: int, seconds: float) -> float:
        """How much of a sentence is heard in this time, less than all of it; 0 while it is not known how long it is."""
        length = self._lasts.get(number)
        return min(seconds / length, 0.99) if length else 0.0

    def interrupt(self, number: int, share: float) -> bool:
        """Sound is held while this share of this sentence was heard, until `resume` or `cancel`."""
        if self.is_held or not self._is_said(number):
            return False
        self._hear(number, share)
        self.is_held = True
        return True

    def resume(self) -> bool:
        """Sound goes on where it was held."""
        if not self.is_held:
            return False
        self.is_held = False
        self._life = self._now()
        self._end_if_heard()
        return True

    def cancel(self) -> bool:
        """Nobody wants the answer any more."""
        if self.state.is_over:
            return False
        self._end(State.CANCELLED)
        return True

    def fail(self, reason: str) -> Sentence | None:
        """It cannot be answered, for a reason that a person understands; the sentence that says so."""
        if self.state.is_over:
            return None
        self._end(State.FAILED)
        return self._add(error_sentence(reason), Kind.ERROR)

    def due_in(self) -> float | None:
        """Seconds until `tick` has something to do; None once the turn is over."""
        if self.state.is_over:
            return None
        due = min(self._filler_at(), self._deadline()) if self._wants_filler() else self._deadline()
        return max(due - self._now(), 0) / 1e6

    def tick(self) -> Sentence | None:
        """What must be said now because time has passed: the filler, or that the turn has failed."""
        if self.state.is_over:
            return None
        if self._is_late():
            if self.state is State.LISTENING or self.is_held:
                self._end(State.CANCELLED)
                return None
            return self.fail(TOO_LATE)
        if self._wants_filler() and self._now() >= self._filler_at():
            return self._add(FILLER, Kind.FILLER)
        return None

    def _may_answer(self, by: str) -> bool:
        return (
            self.state in {State.THINKING, State.SPEAKING}
            and not self._is_complete
            and self._answered_by in {None, by}
            and not self._is_late()
        )

    def _is_said(self, number: int) -> bool:
        return not self.state.is_over and 1 <= number <= len(self._sentences)

    def _hear(self, number: int, share: float) -> None:
        reached = (number, 0.0) if share >= 1 else (number - 1, max(share, 0.0))
        self._heard_to, self._share = max((self._heard_to, self._share), reached)
        self._life = self._now()

    def _wants_filler(self) -> bool:
        return self.state in {State.TRANSCRIBING, State.THINKING} and not self._sentences

    def _filler_at(self) -> int:
        return self._asked + round(self.limits.filler_s * 1e6)

    def _deadline(self) -> int:
        if self.state in {State.TRANSCRIBING, State.THINKING}:
            return self._asked + round(self.limits.answer_s * 1e6)
        if self.state is State.LISTENING:
            return self._life + round(self.limits.listening_s * 1e6)
        unheard = [seconds for number, seconds in self._lasts.items() if number > self._heard_to]
        return self._life + round((self.limits.silence_s + max(unheard, default=0.0)) * 1e6)

    def _is_late(self) -> bool:
        return self._now() >= self._deadline()

    def _end_if_heard(self) -> None:
        if self._is_complete and not self.is_held and not (self._is_played and self._heard_to < len(self._sentences)):
            self._end(State.DONE)

    def _add(self, text: str, kind: Kind) -> Sentence:
        sentence = Sentence(len(self._sentences) + 1, text, kind)
        self._sentences.append(sentence)
        return sentence

    def _enter(self, state: State) -> None:
        self.state = state
        self._waterfall.begin(state.value)

    def _end(self, state: State) -> None:
        self.state = state
        self.is_held = False
        self._waterfall.end()

    def _now(self) -> int:
        return self._clock() // 1000


def _first_words(text: str, share: float) -> str:
    """The words that end within this share of the text's characters."""
    reached = int(len(text) * share)
    if reached >= len(text) or text[reached].isspace():
        return text[:reached].rstrip()
    return text[:reached].rpartition(" ")[0].rstrip()
