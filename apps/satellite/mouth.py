"""Plays what is said to a satellite, in order, and tells what was heard."""

import asyncio
import logging
from typing import Final

import numpy as np

from mynah_audio.pcm import SAMPLE_RATE, Samples, from_bytes
from mynah_audio.resample import Resampler
from mynah_bus import Bus, conversation, current, new_id
from mynah_contracts import PlaybackStatus, Speech
from satellite.echo import OwnVoice
from satellite.playlist import Piece, Playlist, Verdict
from satellite.sinks import Sink

log = logging.getLogger(__name__)

MISSING_FOR_S: Final = 20.0
"""How long it waits for a piece that must be there, before it goes on without it."""
QUIET_FOR_S: Final = 90.0
"""How long it waits for the next sentence of a turn, before it gives that turn up; the router does sooner."""
PARTS_A_SECOND: Final = 5


class Mouth:
    """The loudspeaker's side of a satellite."""

    def __init__(
        self,
        bus: Bus,
        name: str,
        sink: Sink,
        *,
        own_voice: OwnVoice | None = None,
        missing_for_s: float = MISSING_FOR_S,
        quiet_for_s: float = QUIET_FOR_S,
    ) -> None:
        self._bus = bus
        self._name = name
        self._sink = sink
        self._own_voice = own_voice
        self._missing_for_s = missing_for_s
        self._quiet_for_s = quiet_for_s
        self._playlist = Playlist()
        self._arrived = asyncio.Event()
        self._n: int | None = None
        """The sentence that sounds now."""
        self._began = 0
        self._is_held = False
        self._resampler = Resampler(SAMPLE_RATE, sink.rate)
        self.silent = asyncio.Event()
        """Set while nothing is being played or awaited."""
        self.silent.set()

    @property
    def is_sounding(self) -> bool:
        """Whether a sentence has begun and not ended."""
        return self._n is not None

    def add(self, speech: Speech) -> None:
        """Play a piece when it is its turn."""
        turn = current().turn or current().message_id
        piece = Piece(turn, speech.n, speech.seq, from_bytes(speech.audio), last=speech.last, rate=speech.sample_rate)
        verdict = self._playlist.add(piece)
        if verdict is Verdict.FULL:
            log.warning("No room for what turn %s says", turn)
        if speech.sentences:
            self._playlist.announce(turn, speech.sentences)
        self._wake()

    def begin(self, turn: str) -> None:
        """Cut what is being said; the answer of this turn comes before all that waits."""
        self.stop("interrupted")
        self._playlist.begin(turn)
        self._wake()

    def announce(self, turn: str, sentences: int) -> None:
        """A turn has so many sentences."""
        self._playlist.announce(turn, sentences)
        self._wake()

    def pause(self, reason: str = "") -> None:
        """Hold the sound, also between two sentences."""
        waiting_for = self._playlist.waiting_for
        if not self._is_held and (self._n is not None or (waiting_for is not None and waiting_for.n > 0)):
            self._is_held = True
            self._sink.pause()
            self._tell("paused", reason)

    def resume(self, reason: str = "") -> None:
        """Go on where the sound was held."""
        if self._is_held:
            self._is_held = False
            self._sink.resume()
            self._tell("resumed", reason)

    def stop(self, reason: str = "") -> None:
        """Cut the sound, and drop the turn that it belongs to."""
        turn = self._playlist.turn
        if turn is not None:
            self._drop_head(reason)
            self._sink.stop()
            self._wake()

    def drop(self, turn: str, reason: str = "") -> None:
        """Never say what is left of a turn, nor what of it is still to come."""
        if turn == self._playlist.turn:
            self.stop(reason)
        else:
            self._playlist.drop(turn)

    def alarm(self) -> None:
        """Sound two falling tones: something went wrong that nobody can put into words."""
        turn = new_id()
        self._playlist.add(Piece(turn, 0, 0, _tones(), last=True))
        self.announce(turn, 1)

    async def play(self) -> None:
        """Play what comes, as long as the satellite lives."""
        while True:
            self._arrived.clear()
            piece = self._playlist.take()
            if piece is not None:
                await self._sound(piece)
            elif self._playlist.is_complete:
                self._end_sentence()
                self._drop_head("")
            else:
                if self._playlist.turn is None:
                    self.silent.set()
                await self._await_more()

    async def _sound(self, piece: Piece) -> None:
        if self._n != piece.n:
            self._end_sentence()
            self._n, self._began = piece.n, self._sink.position
            self._tell("speaking_start", turn=piece.turn)
            self._resampler = Resampler(piece.rate, self._sink.rate)
        is_whole = await self._play(piece)
        if is_whole and piece.last and self._n == piece.n and self._playlist.turn == piece.turn:
            self._end_sentence()

    async def _play(self, piece: Piece) -> bool:
        """Play a piece, in parts so short that what is in them is known when they sound; False when it was cut."""
        length = piece.rate // PARTS_A_SECOND
        for start in range(0, len(piece.samples), length):
            part = piece.samples[start : start + length]
            if self._own_voice is not None and piece.rate == SAMPLE_RATE:
                await self._own_voice.say(part)
            if not await self._played(self._resampler.push(part)):
                return False
        return not piece.last or await self._played(self._resampler.finish())

    async def _played(self, samples: Samples) -> bool:
        """Play a part, unless the sentence has been cut meanwhile."""
        return self._n is not None and await self._sink.play(samples) == len(samples)

    async def _await_more(self) -> None:
        try:
            async with asyncio.timeout(self._patience()):
                await self._arrived.wait()
        except TimeoutError:
            missing = self._playlist.waiting_for
            if self._playlist.skip() is None:
                log.warning("Turn %s stopped in the middle: %s did not come", self._playlist.turn, missing)
                self._drop_head("missing")
            else:
                log.warning("Turn %s goes on without %s, which did not come", self._playlist.turn, missing)

    def _patience(self) -> float | None:
        """How long the next piece may take; for ever while there is no turn, or while it is held."""
        playlist = self._playlist
        if playlist.turn is None or self._is_held:
            return None
        is_due = self._n is not None or playlist.is_announced or playlist.gap is not None
        return self._missing_for_s if is_due else self._quiet_for_s

    def _end_sentence(self) -> None:
        """The sentence that sounds has been played."""
        if self._n is not None:
            self._tell("speaking_end")
            self._n = None

    def _drop_head(self, reason: str) -> None:
        """End the turn that is being spoken; it was cut if anything of it is left."""
        turn = self._playlist.turn
        assert turn is not None
        if self._n is not None or reason == "missing":
            self._tell("stopped", reason)
        if self._is_held:
            self._sink.resume()
        self._n = None
        self._is_held = False
        self._playlist.drop(turn)

    def _wake(self) -> None:
        if self._playlist.turn is not None:
            self.silent.clear()
        self._arrived.set()

    def _tell(self, event: str, reason: str = "", turn: str | None = None) -> None:
        waiting_for = self._playlist.waiting_for
        n = self._n if self._n is not None else waiting_for.n if waiting_for else 0
        heard = self._sink.position - self._began if self._n is not None else 0
        status = PlaybackStatus.received(
            {
                "event": event,
                "satellite": self._name,
                "n": n,
                "heard_ms": 1e3 * heard / self._sink.rate,
                "reason": reason,
            }
        )
        with conversation(turn=turn or self._playlist.turn):
            self._bus.publish(status)


def _tones() -> Samples:
    times = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
    envelope = np.hanning(len(times)) * 8_000
    return np.concatenate([np.sin(2 * np.pi * hertz * times) * envelope for hertz in (440, 330)]).astype(np.int16)
