"""Hears what is said at a satellite, and has it put into words."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import numpy as np

from mynah_audio.pcm import Samples, level, to_bytes
from mynah_audio.spectrum import levels
from mynah_bus import Bus, ModelThread, RequestFailed, conversation, new_id
from mynah_bus.background import background
from mynah_contracts import AudioLevels, PartialTranscript, Transcribe, TranscribePart, Transcript, WakeEvent
from satellite.listener import Event, Listener, NothingHeard, Partial, SpeechStarted, Utterance, WakeHeard
from satellite.sources import Source

log = logging.getLogger(__name__)

TRANSCRIBED_WITHIN: Final = 20.0
PARTIAL_WITHIN: Final = 1.0
LEVELS_EVERY: Final = 4
"""Frames between two pictures of the spectrum: 12.5 a second."""
ECHO_FRAMES: Final = 15
"""Frames for which a room still sounds after the loudspeaker fell silent: 300 ms."""
NOT_HEARD: Final = "I encountered an error: what you said could not be put into words."


class Ears:
    """The microphone's side of a satellite.

    `begun` is called with a turn that begins, before anybody hears of it; `failed` with one that cannot go on, and why,
    when nobody else can be told. While it `hears_itself`, a voice alone begins no turn, for it may be its own; while it
    `calls_itself`, a wake word does not either.
    """

    def __init__(  # noqa: PLR0913  # what it hears with, and how
        self,
        bus: Bus,
        name: str,
        source: Source,
        listener: Callable[[], Listener],
        *,
        push_to_talk: bool,
        watched: bool,
        begun: Callable[[str], None],
        failed: Callable[[str, str], None],
        hears_itself: Callable[[], bool],
        calls_itself: Callable[[], bool],
    ) -> None:
        self._bus = bus
        self._name = name
        self._source = source
        self._make_listener = listener
        self._push_to_talk = push_to_talk
        self._watched = watched
        self._begun = begun
        self._failed = failed
        self._hears_itself = hears_itself
        self._calls_itself = calls_itself
        self._turn: str | None = None
        self._muted = False
        self._echo = 0
        self._partial: asyncio.Task[None] | None = None
        self._listener: Listener | None = None
        self._thread = ModelThread("ears")

    async def mute(self, *, muted: bool) -> None:
        """Close or open the microphone; what is being said when it closes is forgotten."""
        self._muted = muted
        if muted and self._turn is not None:
            turn = self._turn
            await self.forget(turn)
            self._tell("cancelled", turn, "muted")

    async def forget(self, turn: str) -> None:
        """Do not go on with a turn, if it is still being listened to."""
        if self._turn == turn and self._listener is not None:
            self._turn = None
            await self._thread(self._listener.sleep)

    async def listen(self) -> None:
        """Hear all that the source gives; push-to-talk: to the end of one turn."""
        async with self._thread, background() as self._tasks:
            listener = await self._thread(self._make_listener)
            self._listener = listener
            await self._bus.ready()
            if self._push_to_talk:
                self._begin("push_to_talk")
            await self._hear_out(listener)
            while self._source.goes_on and not self._push_to_talk:
                await self._hear_out(listener)

    async def _hear_out(self, listener: Listener) -> None:
        """Hear to the end of a sound."""
        number = 0
        async for frame in self._source:
            if self._is_deaf(listener):
                continue
            if self._watched and number % LEVELS_EVERY == 0:
                self._show(frame)
            number += 1
            for event in await self._thread(listener.push, frame):
                if isinstance(event, WakeHeard) and self._calls_itself():
                    log.info("Not woken by its own voice")
                    await self._thread(listener.sleep)
                else:
                    self._heard(event, listener)
            if self._push_to_talk and self._turn is None:
                return
        for event in await self._thread(listener.finish):
            self._heard(event, listener)

    def _is_deaf(self, listener: Listener) -> bool:
        """Whether this frame is not for us: the microphone is closed, or we hear ourselves."""
        if self._turn is None and listener.is_listening and self._hears_itself():
            self._echo = ECHO_FRAMES
        elif self._echo > 0:
            self._echo -= 1
        return self._muted or self._echo > 0

    def _heard(self, event: Event, listener: Listener) -> None:
        match event:
            case WakeHeard():
                self._begin(event.phrase, event.confidence, event.energy)
            case SpeechStarted() if self._turn is None:
                self._begin("speech")
            case Partial() if self._watched and self._turn and (self._partial is None or self._partial.done()):
                self._partial = self._tasks.create_task(self._ask_part(self._turn, event, listener), name="partial")
            case Utterance() if self._turn is not None:
                turn, self._turn = self._turn, None
                self._tasks.create_task(self._ask(turn, event.samples), name="transcribe")
                asyncio.get_running_loop().call_soon(self._tell_heard, turn, event.samples)  # the longer way goes first
            case NothingHeard() if self._turn is not None:
                self._tell("timeout", self._turn)
                self._turn = None

    def _begin(self, cause: str, confidence: float = 1.0, energy: float = -120.0) -> None:
        self._turn = new_id()
        self._begun(self._turn)
        self._tell("wake", self._turn, cause, confidence, energy)

    async def _ask(self, turn: str, samples: Samples) -> None:
        """Have an utterance put into words; the worker tells everybody what was said."""
        try:
            with conversation(turn=turn, session=self._name):
                await self._bus.request(
                    Transcribe(audio=to_bytes(samples), satellite=self._name), Transcript, timeout=TRANSCRIBED_WITHIN
                )
        except RequestFailed as error:
            log.warning("What was said could not be put into words: %s", error)
            if self._bus.connected.is_set():
                self._tell("error", turn, str(error))
            else:
                self._failed(turn, NOT_HEARD)

    def _tell_heard(self, turn: str, samples: Samples) -> None:
        self._tell("heard", turn, energy=level(samples))

    async def _ask_part(self, turn: str, partial: Partial, listener: Listener) -> None:
        try:
            with conversation(turn=turn, session=self._name):
                part = await self._bus.request(
                    TranscribePart(audio=to_bytes(partial.samples), seq=partial.seq, satellite=self._name),
                    PartialTranscript,
                    timeout=PARTIAL_WITHIN,
                )
        except RequestFailed as error:
            log.debug("No partial transcript: %s", error)
        else:
            if part.complete:
                await self._thread(listener.complete, partial.seq)

    def _show(self, frame: Samples) -> None:
        heights = np.clip(levels(frame), 0.0, 1.0)
        self._bus.publish(AudioLevels(satellite=self._name, fft=[round(float(height), 3) for height in heights]))

    def _tell(
        self, kind: str, turn: str | None, cause: str = "", confidence: float = 1.0, energy: float = -120.0
    ) -> None:
        event = WakeEvent.received(
            {"type": kind, "satellite": self._name, "cause": cause, "confidence": confidence, "energy": energy}
        )
        with conversation(turn=turn, session=self._name):
            self._bus.publish(event)
