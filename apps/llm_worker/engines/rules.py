"""The embedded engine: no model, but sums, units, the memory and a little talk; honest about everything else."""

import re
from collections.abc import AsyncIterator
from typing import Self

from llm_worker.engines import Prompt
from llm_worker.engines.arithmetic import solve
from llm_worker.engines.recollection import recall
from llm_worker.engines.small_talk import SmallTalk
from llm_worker.engines.units import convert

NO_MODEL = (
    "I can't answer that, because no language model is configured: "
    "set MYNAH_LLM_BASE_URL to the address of an OpenAI-compatible server."
)
DELTA = re.compile(r"\s*\S+")


class Rules:
    """Answers in whole sentences that need no model; English only.

    `otherwise` is what it says to all that it has no rule for.
    """

    def __init__(self, name: str = "Mynah", otherwise: str = NO_MODEL) -> None:
        self._talk = SmallTalk(name)
        self._otherwise = otherwise

    async def __aenter__(self) -> Self:
        """Open; there is nothing to load."""
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close; there is nothing to let go of."""

    async def stream(self, request: Prompt) -> AsyncIterator[str]:
        """The answer, word by word as a model would give it."""
        for count, delta in enumerate(DELTA.finditer(self.answer(request))):
            if count == request.max_tokens:
                return
            yield delta[0]

    def answer(self, request: Prompt) -> str:
        """The whole answer."""
        return (
            self._talk.answer(request.text)
            or solve(request.text)
            or convert(request.text)
            or recall(request.text, request.memories, request.history)
            or self._otherwise
        )
