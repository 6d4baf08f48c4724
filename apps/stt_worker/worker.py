"""Puts recordings into words, in a process of its own: the embedded recogniser would hold up the event loop."""

import asyncio
import hashlib
import json
import logging
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, Self

from mynah_audio.errors import AudioError
from mynah_audio.pcm import SAMPLE_RATE, Samples, from_bytes
from mynah_audio.recording import load
from mynah_bus import Bus, EngineFailed, MynahError, Worker, handles, in_thread
from mynah_contracts import PartialTranscript, Role, Transcribe, TranscribePart, Transcript, Vocabulary
from mynah_resilience.files import write_whole
from mynah_tasks.executors import ExecutorError, ProcessDied, RemoteFailure
from mynah_tasks.executors.processes import ProcessPool
from stt_worker.hosted import prepare, transcribe, transcribe_part
from stt_worker.settings import SttSettings

log = logging.getLogger(__name__)

RIFF: Final = b"RIFF"
LONGEST_S: Final = 240.0
GRACE_S: Final = 2.0
PREPARED_WITHIN: Final = 120.0
"""Seconds to load an engine, or to learn a vocabulary, on a slow machine."""


class Transcription:
    """Answers recordings with their text."""

    def __init__(self, folder: Path, settings: SttSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._vocabulary: str | None = None
        self._turn = asyncio.Lock()
        self._stack = AsyncExitStack()
        self.engine = settings.engine

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._pool = ProcessPool(1)
            stack.push_async_callback(self._pool.aclose, GRACE_S)
            self._folder.mkdir(parents=True, exist_ok=True)
            await self._recall()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def _recall(self) -> None:
        """Load the engine with the vocabulary that was learned last; one that is damaged is removed."""
        known = sorted(self._folder.glob("vocabulary-*.json"), key=lambda path: path.stat().st_mtime)
        while known:
            try:
                return await self._prepare(known[-1])
            except EngineFailed as error:
                if error.retryable:
                    raise
                log.warning("%s is removed: %s", known[-1], error)
                known.pop().unlink(missing_ok=True)
        return await self._prepare(None)

    @handles(at_once=1, waiting=50)
    async def transcribe(self, recording: Transcribe) -> Transcript:
        """Recognise a recording."""
        samples = await self._samples(recording.audio)
        began = time.perf_counter()
        found = await self._call(transcribe, samples, recording.language)
        return Transcript(
            text=found["text"],
            confidence=min(max(found["confidence"], 0.0), 1.0),
            language=recording.language or self._settings.language,
            satellite=recording.satellite,
            engine=self.engine,
            mode=found["mode"],
            audio_ms=1e3 * len(samples) / SAMPLE_RATE,
            ms=1e3 * (time.perf_counter() - began),
        )

    @handles(at_once=1, waiting=1)
    async def transcribe_part(self, part: TranscribePart) -> PartialTranscript:
        """Recognise as much as has been said."""
        found = await self._call(transcribe_part, await self._samples(part.audio), part.language)
        return PartialTranscript(text=found["text"], seq=part.seq, satellite=part.satellite, complete=found["complete"])

    @handles
    async def learn(self, vocabulary: Vocabulary) -> None:
        """Understand what the router understands."""
        if vocabulary.language != self._settings.language:
            return
        content = json.dumps(vocabulary.intents, sort_keys=True).encode()
        path = self._folder / f"vocabulary-{hashlib.sha256(content).hexdigest()[:16]}.json"
        async with self._turn:  # what is said after it was told is understood with it
            if str(path) == self._vocabulary:
                return
            await asyncio.to_thread(write_whole, path, content)
            try:
                await self._learn(path)
            except EngineFailed:
                await asyncio.to_thread(path.unlink, missing_ok=True)
                raise

    async def _learn(self, vocabulary: Path) -> None:
        """Learn what nobody will tell again; once more when the process dies of something else meanwhile."""
        try:
            await self._prepare(vocabulary)
        except EngineFailed as error:
            if not isinstance(error.__cause__, ProcessDied):
                raise
            log.warning("%s; the vocabulary is learned by the next one", error)
            await self._prepare(vocabulary)

    async def _samples(self, audio: bytes) -> Samples:
        """16 kHz mono of a WAV, or of bare samples."""
        if not audio:
            raise MynahError("The recording is empty.", code="bad_audio")
        if audio[:4] != RIFF:
            if len(audio) % 2 or len(audio) > 2 * SAMPLE_RATE * LONGEST_S:
                raise MynahError("Neither a WAV nor 16 kHz mono 16-bit samples.", code="bad_audio")
            return from_bytes(audio)
        try:
            return (await in_thread(lambda: load(audio, limit_s=LONGEST_S))).samples
        except AudioError as error:
            raise MynahError(str(error), code="bad_audio") from error

    async def _prepare(self, vocabulary: Path | None) -> None:
        """Load the engine, or have it learn a vocabulary; says which engine it is and why."""
        known = str(vocabulary) if vocabulary else None
        told = await self._run(prepare, {"vocabulary": known}, PREPARED_WITHIN)
        self._vocabulary = known
        self.engine = told["engine"]
        log.info("%s It knows %d words (%s).", told["why"], told["words"], told["mode"])

    async def _call(self, what: Any, samples: Samples, language: str | None) -> dict[str, Any]:
        async with self._turn:
            within = self._settings.hung_after + len(samples) / SAMPLE_RATE
            return await self._run(what, {"samples": samples, "language": language}, within)

    async def _run(self, what: Any, payload: dict[str, Any], within: float) -> dict[str, Any]:
        common = {
            "engine": self._settings.engine,
            "vocabulary": self._vocabulary,
            "cache": str(self._folder),
        }
        try:
            result: dict[str, Any] = await self._pool.run(what, common | payload, timeout=within)
        except RemoteFailure as error:
            why = str(error).removeprefix(f"{error.type_name}: ")
            raise EngineFailed(why, retryable=error.retryable) from error
        except ExecutorError as error:
            raise EngineFailed(str(error), retryable=True) from error
        return result


def build() -> Worker:
    """The worker as it runs."""
    bus = Bus(Role.STT)
    return Worker(bus, Transcription(bus.settings.home / "stt", SttSettings()))
