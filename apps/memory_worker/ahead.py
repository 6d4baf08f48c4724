"""Looks up what will be asked while it is still on its way to who asks."""

import asyncio
from collections.abc import Callable

from memory_worker.documents import Question, Results
from mynah_bus import in_thread


class Ahead:
    """Searches in a thread; the one question that is expected is searched early, for whoever asks it first."""

    def __init__(self, search: Callable[[Question], Results]) -> None:
        self._search = search
        self._expected: Question | None = None
        self._found: asyncio.Task[Results] | None = None

    def expect(self, question: Question) -> None:
        """Begin to search, instead of what was expected before."""
        self.forget()
        self._expected, self._found = question, asyncio.create_task(in_thread(self._search, question))
        self._found.add_done_callback(_seen)

    async def find(self, question: Question) -> Results:
        """What is found, by now or when it has been searched."""
        found, self._found = self._found, None
        if found is not None and question == self._expected:
            return await found
        self._found = found
        return await in_thread(self._search, question)

    def forget(self) -> None:
        """Expect nothing any more; what was found is out of date."""
        if self._found is not None:
            self._found.cancel()
        self._found = None


def _seen(found: asyncio.Task[Results]) -> None:
    """Whoever asks is told what went wrong; if nobody asks, nobody minds."""
    if not found.cancelled():
        found.exception()
