"""How an answer is found: by an intent at once, else by the language model."""

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator
from typing import Final

from mynah_bus import Bus, ModelThread, RequestFailed, conversation
from mynah_contracts import LlmDelta, LlmRequest, LlmResponse, Message
from router_worker.answers import Answers
from router_worker.answers.confirmation import LEFT_ALONE, Confirmations, is_no, is_yes, question
from router_worker.conversation import Conversations
from router_worker.intents import Intent, Recogniser
from router_worker.live import Live
from router_worker.sentences import SentenceSplitter
from router_worker.speakable import Reader
from router_worker.store import StoreError
from router_worker.turn import State

log = logging.getLogger(__name__)

THOUGHT_WITHIN: Final = 300.0
"""Seconds for a whole answer of the language model; the turn itself does not wait that long for a first sentence."""
HUNG_AFTER: Final = 20.0
NOTHING_SAID: Final = "the language model had nothing to say"
LONGEST_QUESTION: Final = 100_000


class Mind:
    """Answers what was asked; the recogniser and the answers are used in one thread."""

    def __init__(
        self, bus: Bus, thread: ModelThread, recogniser: Recogniser, answers: Answers, conversations: Conversations
    ) -> None:
        self._bus = bus
        self._thread = thread
        self._recogniser = recogniser
        self._answers = answers
        self._conversations = conversations
        self._confirmations = Confirmations(time.monotonic)
        self.done = asyncio.Event()
        """Set after each intent that was done: it may have changed what is kept."""

    async def answer(self, live: Live, text: str, user: str) -> None:
        """Answer a turn."""
        with conversation(turn=live.id, session=live.session):
            try:
                asked = self._confirmations.take(live.session)
                if asked is not None and is_yes(text):
                    await self._do(live, asked)
                elif asked is not None and is_no(text):
                    _say(live, LEFT_ALONE, asked.name)
                else:
                    await self._answer(live, text, user)
            except (RequestFailed, StoreError) as error:
                log.warning("A turn failed: %s", error)
                live.fail(str(error))

    def remember(self, live: Live) -> None:
        """A turn is over: what was heard of it becomes history, and what it asks may be confirmed."""
        turn = live.turn
        if turn.transcript or turn.answer:
            self._conversations.remember(live.session, turn.transcript or "", turn.heard, turn.answer)
        if live.to_confirm is not None and turn.state is State.DONE:
            self._confirmations.ask(live.session, live.to_confirm)

    async def _answer(self, live: Live, text: str, user: str) -> None:
        intent = None
        if not self._recogniser.is_none(text):
            intent = await self._thread(self._recogniser.recognise, text, deadline=HUNG_AFTER)
        if intent is None:
            await self._ask_model(live, text, user)
            return
        asks = question(intent) if live.satellite else None
        if asks is None:
            await self._do(live, intent)
            return
        live.intent, live.to_confirm = intent.name, intent
        _say(live, asks, intent.name)

    async def _do(self, live: Live, intent: Intent) -> None:
        live.intent = intent.name
        last = self._conversations.last_answer(live.session)
        answer = functools.partial(self._answers.answer, intent, last=last, place=live.satellite)
        said = await self._thread(answer, deadline=HUNG_AFTER)
        self.done.set()
        _say(live, said, intent.name)

    async def _ask_model(self, live: Live, text: str, user: str) -> None:
        history = self._conversations.history(live.session)
        request = LlmRequest(text=text[:LONGEST_QUESTION], history=history, user=user)
        splitter, reader = SentenceSplitter(), Reader()
        async for piece, is_last in _text(self._bus.stream(request, timeout=THOUGHT_WITHIN)):
            if live.satellite:
                for sentence in (*splitter.feed(piece), *(splitter.flush() if is_last else ())):
                    live.say(reader.read(sentence), by="llm")
            else:
                live.write(piece, by="llm")
        if live.turn.answer:
            live.complete("llm")
        else:
            live.fail(NOTHING_SAID)


async def _text(answer: AsyncIterator[Message]) -> AsyncIterator[tuple[str, bool]]:
    """The text of an answer as it comes, and whether it ends with that.

    Pieces may be lost on their way, the whole answer has what they said.
    """
    known, pieces = "", 0
    async for part in answer:
        if isinstance(part, LlmResponse):
            yield part.reply.removeprefix(known) if part.reply.startswith(known) else "", True
        elif isinstance(part, LlmDelta) and part.seq == pieces:
            known, pieces = known + part.delta, pieces + 1
            yield part.delta, part.last


def _say(live: Live, text: str, by: str) -> None:
    """A whole answer; an empty one is silence."""
    live.say(text, by=by)
    live.complete(by, silently=not text)
