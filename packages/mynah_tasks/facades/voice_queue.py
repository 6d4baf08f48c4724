"""The line of voice tasks, for whoever takes them out by hand; where an engine works on the store, it alone does."""

import asyncio
from typing import Any, Self

from mynah_tasks.clock import SystemClock
from mynah_tasks.errors import EngineStopped, UnknownTask
from mynah_tasks.facades.facade import Unheard
from mynah_tasks.facades.voice_task import VoiceTask
from mynah_tasks.presets import VOICE
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Outcome, Rules, Store
from mynah_tasks.stores.memory import MemoryStore


class AsyncVoiceQueue:
    """The urgent first, first come, first served within one urgency, at most `max_size` waiting."""

    def __init__(self, max_size: int = VOICE.capacity, store: Store | None = None) -> None:
        self._store: Store = store or MemoryStore()
        self._max_size, self._turn = max_size, asyncio.Lock()
        self.in_flight: dict[str, Claim] = {}
        """What was taken and is not complete, by its id."""

    async def __aenter__(self) -> Self:
        self._store.attach(Unheard(), Rules(capacity=self._max_size), SystemClock())
        await self._store.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:  # noqa: PYI036  # passed on as they came
        await self._store.__aexit__(*error)

    async def enqueue(self, task: VoiceTask) -> str:
        """Put a task into the line; its id. Raises QueueFull."""
        return (await self._store.add((task.to_task(),)))[0]

    async def dequeue(self) -> VoiceTask:
        """Wait for the next task and take it, in flight until `complete_task`; raises EngineStopped at the end."""
        async with self._turn:  # a store gives claims to one at a time
            if not (claims := await self._store.claim(1, lambda: True)):
                raise EngineStopped("the voice queue was closed")
        self.in_flight[claims[0].task.id] = claims[0]
        entry = await self._store.get(claims[0].task.id)
        assert entry is not None
        return VoiceTask.of(entry)

    async def complete_task(self, task_id: str, result: Any = None, error: str | None = None) -> None:
        """Say what became of a task in flight; with an error it failed. Raises UnknownTask."""
        if (claim := self.in_flight.get(task_id)) is None:
            raise UnknownTask(f"task {task_id} is not in flight")
        await self._store.finish(claim, Outcome(TaskStatus.FAILED if error else TaskStatus.COMPLETED, result, error))
        self.in_flight.pop(task_id, None)

    def is_full(self) -> bool:
        """Whether the next task would be refused."""
        return self.size() >= self._max_size

    def size(self) -> int:
        """How many tasks wait."""
        return self._store.counts.pending
