"""What agents tell each other and their people."""

import asyncio
import functools
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mynah_resilience.confinement import OneThread
from mynah_resilience.events import EventBus, Handler

AGENT_MESSAGE = "agent_message"
"""The event that every posted message is."""
PATIENCE = 300.0
"""Seconds for which a person's answer is waited for."""


class AgentRole(StrEnum):
    """Who speaks."""

    MANAGER = "manager"
    SUPERVISOR = "supervisor"
    EMPLOYEE = "employee"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class AgentMessage:
    """Something an agent has posted."""

    id: str
    role: AgentRole
    content: str
    requires_response: bool
    at: float
    """Seconds since the epoch."""


class MessageBus:
    """Posts messages as `agent_message` events and brings back the answers; belongs to one thread."""

    def __init__(self, events: EventBus | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.events = events or EventBus()
        self._clock = clock
        self._thread = OneThread("message bus")
        self._questions: dict[str, asyncio.Future[str]] = {}

    @property
    def open_questions(self) -> tuple[str, ...]:
        """Ids of the messages that wait for an answer."""
        return tuple(self._questions)

    def subscribe(self, handler: Handler) -> None:
        """Have `handler(message)` called with each `AgentMessage`."""
        self.events.subscribe(AGENT_MESSAGE, handler)

    def unsubscribe(self, handler: Handler) -> bool:
        """Stop calling `handler`; whether it had been subscribed."""
        return self.events.unsubscribe(AGENT_MESSAGE, handler)

    async def post_message(
        self, role: AgentRole, content: str, *, requires_response: bool = False, timeout: float = PATIENCE
    ) -> str | None:
        """Tell everyone; with `requires_response`, return the answer or raise TimeoutError after `timeout` seconds."""
        self._thread.check()
        message = AgentMessage(uuid.uuid4().hex, AgentRole(role), content, requires_response, self._clock())
        if not requires_response:
            await self.events.publish(AGENT_MESSAGE, message)
            return None
        # Before anyone hears the question, so that an answer given at once finds it.
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._questions[message.id] = answer
        try:
            async with asyncio.timeout(timeout):
                await self.events.publish(AGENT_MESSAGE, message)
                return await answer
        finally:
            del self._questions[message.id]

    def respond(self, message_id: str, answer: str) -> bool:
        """Answer a message; false when nobody waits for it (any more)."""
        self._thread.check()
        question = self._questions.get(message_id)
        if question is None or question.done():
            return False
        question.set_result(answer)
        return True


@functools.cache
def get_message_bus() -> MessageBus:
    """The one bus of this process."""
    return MessageBus()
