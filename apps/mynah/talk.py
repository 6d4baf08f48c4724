"""Commands that talk with the fleet: ask, say, transcribe, turn."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from mynah.connection import connected, guest
from mynah.errors import CommandFailed
from mynah.visitor import visitor_name
from mynah_audio.endpoint import Endpointing
from mynah_audio.errors import AudioError
from mynah_audio.pcm import to_bytes
from mynah_audio.recording import Recording, load
from mynah_bus import Bus, BusSettings, EngineFailed, Received, Worker, conversation, new_id
from mynah_contracts import (
    Answer,
    Ask,
    Role,
    Said,
    SatelliteState,
    Say,
    SpokenRecording,
    Synthesize,
    Transcribe,
    Transcript,
)
from satellite.room import Room
from satellite.sinks import FileSink, NullSink
from satellite.sources import FileSource
from satellite.worker import make_listener

ANSWER_S: Final = 40.0
SPEECH_S: Final = 60.0
CHARACTERS_A_SECOND: Final = 8
"""How fast a long text is spoken, at least."""
TURN_S: Final = 90.0
PATIENCE_S: Final = 35.0
"""Without a sign of life of the turn; the router gives up sooner, unless it has not heard of it."""
ONE_QUESTION: Final = Endpointing(silence=timedelta(seconds=2))
"""A recording is one question, pauses and all."""
PIPE: Final = Path("-")
"""Standard input, or standard output."""
MOST_PIPED: Final = 64 << 20
"""Bytes: two minutes of sound at any rate and width that is in use."""


async def ask(settings: BusSettings, text: str, user: str) -> dict[str, Any]:
    """Ask in writing: reply, turn, intent, ms, steps."""
    async with guest(settings) as bus:
        began = time.perf_counter()
        with conversation(turn=new_id(), session=f"shell-{user or 'guest'}"):
            answer = await bus.request(Ask(text=text, user=user), Answer, timeout=ANSWER_S)
        return {
            "reply": answer.reply,
            "turn": answer.turn_id,
            "intent": answer.intent,
            "ms": round(1e3 * (time.perf_counter() - began), 1),
            "steps": [step.model_dump() for step in answer.steps],
        }


async def say(
    settings: BusSettings, text: str, output: Path | None, voice: str | None, satellite: str
) -> dict[str, Any]:
    """Speak a text into a WAV file, or at a satellite."""
    if not text.strip():
        raise CommandFailed("There is nothing to say: the text is empty.")
    if output is None:
        return await _say_at(settings, Say(text=text, voice=voice, satellite=satellite))
    if output == PIPE and sys.stdout.isatty():
        raise CommandFailed("Standard output is a terminal; send the sound on, such as to `| aplay`.")
    async with guest(settings) as bus:
        spoken = await bus.request(Synthesize(text=text, voice=voice), SpokenRecording, timeout=SPEECH_S)
    if not spoken.audio_ms:
        raise CommandFailed(f"Nothing in {text!r} can be spoken.")
    try:
        await asyncio.to_thread(_write, output, spoken.audio)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise CommandFailed(f"{output} cannot be written: {error.strerror}.") from error
    return {"file": str(output), "seconds": round(spoken.audio_ms / 1e3, 3), "ms": round(spoken.ms, 1)}


async def _say_at(settings: BusSettings, wanted: Say) -> dict[str, Any]:
    rooms: dict[str, str] = {}

    def note(received: Received) -> None:
        assert isinstance(received.message, SatelliteState)
        rooms[received.message.satellite] = received.envelope.source

    async with guest(settings, lambda bus: bus.route(SatelliteState, note)) as bus:
        up = {f"{one.service.value}/{one.instance}" for one in bus.fleet.workers() if one.status != "down"}
        there = sorted(room for room, worker in rooms.items() if worker in up)
        if not there:
            raise CommandFailed("No satellite is up; `mynah run satellite` starts one.")
        if wanted.satellite not in there:
            raise CommandFailed(f"There is no satellite {wanted.satellite!r}; those that are up: {', '.join(there)}.")
        within = SPEECH_S + len(wanted.text) / CHARACTERS_A_SECOND
        said = await bus.request(wanted, Said, timeout=within)
    if not said.audio_ms:
        raise CommandFailed(f"Nothing in {wanted.text!r} can be spoken.")
    return {"satellite": wanted.satellite, "seconds": round(said.audio_ms / 1e3, 3), "ms": round(said.ms, 1)}


async def transcribe(settings: BusSettings, file: Path, language: str | None) -> dict[str, Any]:
    """Put a recording into words."""
    try:
        recording = await asyncio.to_thread(_load, file)
    except AudioError as error:
        raise CommandFailed(_about(str(error), file)) from error
    async with guest(settings) as bus:
        request = Transcribe(audio=to_bytes(recording.samples), language=language)
        transcript = await bus.request(request, Transcript, timeout=SPEECH_S)
    return {
        "text": transcript.text,
        "confidence": round(transcript.confidence, 3),
        "language": transcript.language,
        "engine": transcript.engine,
        "mode": transcript.mode,
        "seconds": round(recording.duration, 3),
        "ms": round(transcript.ms, 1),
    }


async def turn(settings: BusSettings, question: Path, answer: Path | None) -> dict[str, Any]:
    """Be a satellite for one spoken question: transcript, reply, and where the time went."""
    if answer is not None and await asyncio.to_thread(_is_same_file, question, answer):
        raise CommandFailed(f"The answer would replace the question in {question}; name another file.")
    name = visitor_name()
    bus = Bus(Role.SATELLITE, settings.model_copy(update={"instance": name}), where={"satellite": name})
    sink = NullSink(paced=False) if answer is None else FileSink(answer)
    source = FileSource(question, paced=False)
    listener = partial(make_listener, endpointing=ONE_QUESTION)
    room = Room(bus, name, source, sink, listener, push_to_talk=True, watched=False, patience_s=PATIENCE_S)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(connected(Worker(bus, room, passing=True), settings, Role.SATELLITE))
        except EngineFailed as error:
            raise CommandFailed(_about(str(error), question, answer)) from error
        try:
            async with asyncio.timeout(TURN_S):
                ended = await room.turn_over()
        except TimeoutError as error:
            raise CommandFailed(f"The turn did not end within {TURN_S:g} s.") from error
    if ended.phase != "done":
        raise CommandFailed(ended.error or f"The turn was {ended.phase}: nothing was heard in {question}.")
    return {
        "transcript": ended.transcript,
        "reply": ended.reply,
        "intent": ended.intent,
        "turn": ended.turn_id,
        "steps": [{"name": step.name, "ms": round(step.ms, 2)} for step in ended.steps],
        "total_ms": round(ended.total_ms, 2),
        "file": None if answer is None else str(answer),
    }


def _load(file: Path) -> Recording:
    return load(sys.stdin.buffer.read(MOST_PIPED) if file == PIPE else file)


def _write(output: Path, content: bytes) -> None:
    if output != PIPE:
        output.write_bytes(content)
        return
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _is_same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _about(error: str, *files: Path | None) -> str:
    """What is wrong with one of these files; the first, if no other is named."""
    return error if any(str(file) in error for file in files if file) else f"{files[0]}: {error}"
