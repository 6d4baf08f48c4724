"""A language engine for tests and demonstrations: says what it was given."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Self

from llm_worker.engines import ModelError, Prompt


class Scripted:
    """Answers every prompt with the same deltas, and keeps the prompts in `requests`.

    `pause` is awaited before each delta. After the last one `failure` is raised, or, with `hangs`, nothing comes for
    ever.
    """

    def __init__(
        self,
        deltas: Iterable[str] = ("This ", "is ", "a ", "scripted ", "answer."),
        *,
        pause: Callable[[], Awaitable[None]] | None = None,
        failure: ModelError | None = None,
        hangs: bool = False,
    ) -> None:
        self.requests: list[Prompt] = []
        self._deltas = tuple(deltas)
        self._pause = pause
        self._failure = failure
        self._hangs = hangs

    async def __aenter__(self) -> Self:
        """Open; there is nothing to load."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close; there is nothing to let go of."""

    async def stream(self, request: Prompt) -> AsyncIterator[str]:
        """The given deltas, then the given end; raises ModelError."""
        self.requests.append(request)
        for delta in self._deltas:
            if self._pause is not None:
                await self._pause()
            yield delta
        if self._failure is not None:
            raise self._failure
        if self._hangs:
            await asyncio.Event().wait()
