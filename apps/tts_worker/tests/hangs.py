"""A speech worker whose engine never comes back, for a test that watches it end."""

import asyncio

from mynah_bus import Worker
from mynah_bus.testing import serving
from mynah_contracts import Role, Synthesize
from tts_worker.engines.choice import Choice
from tts_worker.engines.scripted import Scripted
from tts_worker.worker import Speaking


async def main() -> None:
    """Ask it for speech and wait."""
    choice = Choice("scripted", "a test", lambda: Scripted(hangs=True))
    async with serving(Worker(Role.TTS, Speaking(choice, hung_after=0.2))) as stage:
        await stage.ask(Synthesize(text="hello"), timeout=60)


if __name__ == "__main__":
    asyncio.run(main())
