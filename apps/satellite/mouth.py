"""Plays what is said to a satellite, in order, and tells what was heard."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

import numpy as np

from mynah_audio.pcm import SAMPLE_RATE, Samples, from_bytes
from mynah_audio.resample import Resampler
from mynah_bus import Bus, conversation, current, new_id
from mynah_contracts import PlaybackStatus, Speech
from satellite.playlist import Piece, Playlist, Verdict
from satellite.sinks import Sink

log = logging.getLogger(__name__)

MISSING_FOR_S: Final = 20.0
"""How long it waits for the next piece of a turn before it gives that turn up."""
MISSING_AFTER_LOSS_S: Final = 3.0
"""The same when the connection was lost meanwhile, and the piece probably with it."""


class Mouth:
    """The loudspeaker's side of a satellite; `broken_off` is told which turn stopped in the middle."""

    def __init__(self, bus: Bus, name: str, sink: Sink, broken_off: Callable[[str], None]) -> None:
        self._bus = bus
        self._name = name
        self._sink = sink
        self._broken_off = broken_off
        self._hurried: str | None = None
        self._playlist = Playlist()
        self._arrived = asyncio.Event()
        self._n: int | None = None
        """The sentence that sounds now."""
        self._began = 0
        self._resampler = Resampler(SAMPLE_RATE, sink.rate)
        self.silent = asyncio.Event()
        """Set while nothing is being played or awaited."""
        self.silent.set()

    @property
    def turn(self) -> str | None:
        """The turn that is being spoken."""
        return self._playlist.turn

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

    def announce(self, turn: str, sentences: int) -> None:
        """A turn has so many sentences."""
        self._playlist.announce(turn, sentences)
        self._wake()

    def pause(self, reason: str = "") -> None:
        """Hold the sound."""
        if self._n is not None:
            self._sink.pause()
            self._tell("paused", reason)

    def resume(self, reason: str = "") -> None:
        """Go on where the sound was held."""
        if self._n is not None:
            self._sink.resume()
            self._tell("resumed", reason)

    def stop(self, reason: str = "") -> None:
        """Cut the sound, and drop the turn that it belongs to."""
        turn = self._playlist.turn
        if turn is not None:
            if self._n is not None:
                self._tell("stopped", reason)
            self._n = None
            self._playlist.drop(turn)
            self._sink.stop()
            self._wake()

    def drop(self, turn: str, reason: str = "") -> None:
        """Play nothing more of a turn, whatever comes of it."""
        if self._playlist.turn == turn:
            self.stop(reason)
        else:
            self._playlist.drop(turn)

    def hurry(self, turn: str) -> None:
        """Wait less for what is missing of a turn: the connection was lost."""
        self._hurried = turn
        self._arrived.set()

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
                self._drop_head()
            else:
                self._rest()
                await self._await_more()

    async def _sound(self, piece: Piece) -> None:
        if self._n != piece.n:
            self._n, self._began = piece.n, self._sink.position
            self._tell("speaking_start", turn=piece.turn)
            self._resampler = Resampler(piece.rate, self._sink.rate)
        samples = self._resampler.push(piece.samples)
        if piece.last:
            samples = np.concatenate((samples, self._resampler.finish()))
        played = await self._sink.play(samples)
        if played == len(samples) and piece.last and self._n == piece.n and self._playlist.turn == piece.turn:
            self._tell("speaking_end", turn=piece.turn)
            self._n = None

    async def _await_more(self) -> None:
        turn = self._playlist.turn
        patience = MISSING_AFTER_LOSS_S if turn == self._hurried else MISSING_FOR_S
        try:
            async with asyncio.timeout(None if turn is None else patience):
                await self._arrived.wait()
        except TimeoutError:
            assert turn is not None
            log.warning("Turn %s stopped in the middle; its next piece did not come", turn)
            self._drop_head()
            self._broken_off(turn)

    def _drop_head(self) -> None:
        if self._playlist.turn is not None:
            self._playlist.drop(self._playlist.turn)
        self._n = None
        self._rest()

    def _rest(self) -> None:
        if self._playlist.turn is None:
            self.silent.set()

    def _wake(self) -> None:
        if self._playlist.turn is not None:
            self.silent.clear()
        self._arrived.set()

    def _tell(self, event: str, reason: str = "", turn: str | None = None) -> None:
        status = PlaybackStatus.received(
            {
                "event": event,
                "satellite": self._name,
                "n": self._n or 0,
                "heard_ms": 1e3 * (self._sink.position - self._began) / self._sink.rate,
                "reason": reason,
            }
        )
        with conversation(turn=turn or self._playlist.turn):
            self._bus.publish(status)


def _tones() -> Samples:
    times = np.arange(SAMPLE_RATE // 5) / SAMPLE_RATE
    envelope = np.hanning(len(times)) * 8_000
    return np.concatenate([np.sin(2 * np.pi * hertz * times) * envelope for hertz in (440, 330)]).astype(np.int16)
