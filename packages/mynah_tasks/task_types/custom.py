"""custom: work that its own payload brings along, or names."""

from collections.abc import Callable, Mapping
from typing import Any

from mynah_tasks.task_types.typed import BadPayload, NotConfigured


class CustomTasks:
    """Runs `payload["processor"]` with the payload: a callable, or the name under which one was registered.

    A callable never leaves this process: a task with one is not durable. A name is looked up and never imported.
    """

    def __init__(self, known: Mapping[str, Callable[[Any], Any]]) -> None:
        self._known = dict(known)

    def process(self, payload: Any) -> Any:
        """What the processor returns; an awaitable where it is one."""
        processor = payload.get("processor") if isinstance(payload, Mapping) else None
        if isinstance(processor, str):
            if processor not in self._known:
                known = ", ".join(self._known) or "none"
                raise NotConfigured(f"there is no custom processor {processor!r}; registered: {known}")
            processor = self._known[processor]
        if not callable(processor):
            raise BadPayload("a custom task has a payload with a processor: a callable or the name of a registered one")
        return processor(payload)
