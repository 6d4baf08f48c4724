"""The asynchronous processor: the engine with all task types, under the names that its users know."""

from contextlib import suppress
from typing import Any

from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import UnknownTask
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Store
from mynah_tasks.task import Task
from mynah_tasks.task_types import Services, create_task, register_all

__all__ = ["AdvancedAsyncProcessor", "TaskManager", "create_processor", "create_task"]

PAGE = 1000


class AdvancedAsyncProcessor(TaskEngine):
    """A task engine that knows the eleven task types; `knobs` are those of the engine."""

    def __init__(self, store: Store | None = None, *, services: Services | None = None, **knobs: Any) -> None:
        super().__init__(store, **knobs)
        self.task_manager = TaskManager(self)
        register_all(self, services)


class TaskManager:
    """Looks into the queue."""

    def __init__(self, engine: TaskEngine) -> None:
        self._engine = engine

    async def get_ready_tasks(self) -> list[Task]:
        """The waiting tasks whose dependencies have all completed, the urgent first, then the oldest.

        Those that wait for their next attempt are among them.
        """
        waiting = await self._all(TaskStatus.PENDING)
        alive = {task.id for task in (*waiting, *await self._all(TaskStatus.RUNNING))}
        parents = {parent for task in waiting for parent in task.depends_on}
        for parent in parents - alive:  # may have changed meanwhile; forgotten, it has completed
            with suppress(UnknownTask):
                if not (await self._engine.get_task_status(parent)).is_terminal:
                    alive.add(parent)
        ready = [task for task in reversed(waiting) if alive.isdisjoint(task.depends_on)]
        return sorted(ready, key=lambda task: task.priority)

    async def _all(self, status: TaskStatus) -> list[Task]:
        """The tasks with a status, the newest first."""
        tasks: list[Task] = []
        while page := await self._engine.list_tasks(status=status, limit=PAGE, before=tasks[-1].id if tasks else None):
            tasks += [entry.task for entry in page]
        return tasks


async def create_processor(**knobs: Any) -> AdvancedAsyncProcessor:
    """A processor that runs; end it with `shutdown`."""
    processor = AdvancedAsyncProcessor(**knobs)
    await processor.start()
    return processor
