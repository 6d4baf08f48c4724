"""What all façades have in common: their life is that of their engine."""

from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any, Self

from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import EngineStopped
from mynah_tasks.task import Task, TaskResult


class Facade:
    """Opens what its engine stands on, then the engine; closes them the other way round."""

    def __init__(self, engine: TaskEngine, *below: AbstractAsyncContextManager[Any]) -> None:
        self.engine = engine
        self._below = below

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in (*self._below, self.engine):
                await stack.enter_async_context(part)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: Any) -> None:  # noqa: PYI036  # passed on as they came
        await self._stack.__aexit__(*error)

    async def _call_off(self, task_id: str) -> None:
        """Cancel a task whose caller has gone; harmless when the engine has gone, too."""
        with suppress(EngineStopped):
            await self.engine.cancel_task(task_id, "nobody waits for it")


class Unheard:
    """A store's listener where nobody waits for news."""

    def finished(self, task: Task, result: TaskResult) -> None:
        """A task has its outcome."""

    def revoked(self, task_id: str, token: int) -> None:
        """A claim was taken back."""
