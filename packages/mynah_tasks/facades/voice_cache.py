"""Speech that was synthesised once, for all threads and processes of this machine."""

import asyncio
from pathlib import Path
from typing import Any

from mynah_resilience import FileCache


class VoiceCache:
    """Keeps audio by voice and text in `directory`; `limits` are those of FileCache.

    The plain methods block on the disk and may be called from any thread.
    """

    def __init__(self, directory: Path, **limits: Any) -> None:
        self._files = FileCache(directory, **limits)

    def get(self, text: str, voice: str) -> bytes | None:
        """The audio of a text in a voice, whole, or None."""
        return self._files.get(_key(text, voice))

    def put(self, text: str, voice: str, audio: bytes) -> None:
        """Keep the audio."""
        self._files.put(_key(text, voice), audio)

    async def get_async(self, text: str, voice: str) -> bytes | None:
        """As `get`, beside the event loop."""
        return await asyncio.to_thread(self.get, text, voice)

    async def put_async(self, text: str, voice: str, audio: bytes) -> None:
        """As `put`, beside the event loop."""
        await asyncio.to_thread(self.put, text, voice, audio)


def _key(text: str, voice: str) -> str:
    return f"{len(voice)}:{voice}:{text}"
