"""One attempt at a task, and how it may end."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from mynah_tasks.clock import Timer
from mynah_tasks.executors import DeadlineExceeded, ExecutorKind, RemoteFailure
from mynah_tasks.failures import encodable, may_help_again, text_of
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim
from mynah_tasks.workers import Worker

Processor = Callable[[Any], Any]
"""Does the work of one type of task: a plain or a coroutine function of the payload, whose result is JSON."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A processor and where it wants to run, whatever a task's hints say."""

    processor: Processor
    kind: ExecutorKind | None = None

    @property
    def is_async(self) -> bool:
        """Whether it only awaits, as far as can be seen before it is called."""
        call = getattr(self.processor, "__call__", None)  # noqa: B004  # of an object that is one
        return inspect.iscoroutinefunction(self.processor) or inspect.iscoroutinefunction(call)


class Verdict(NamedTuple):
    """How an attempt ended that did not succeed."""

    status: TaskStatus
    error: str
    is_final: bool = False
    """Whether another attempt makes no sense."""

    @classmethod
    def on(cls, error: BaseException, *, retryable: tuple[type[Exception], ...]) -> "Verdict":
        """What to make of an exception; one with `retryable = False` says that its like would follow.

        A deadline that has passed, and a cancellation from outside, say nothing of the kind, whatever is retryable.
        """
        text = f"{encodable(type(error).__name__)}: {text_of(error)}"
        if isinstance(error, DeadlineExceeded):
            return cls(TaskStatus.TIMEOUT, text)
        is_of_the_kind = isinstance(error, (*retryable, asyncio.CancelledError)) or (
            isinstance(error, RemoteFailure) and error.is_any_of(retryable)
        )
        return cls(TaskStatus.FAILED, text, is_final=not (is_of_the_kind and may_help_again(error)))


class Attempt:
    """What a worker is at."""

    __slots__ = (
        "claim",
        "has_begun",
        "has_place",
        "is_over",
        "kind",
        "started",
        "task",
        "timer",
        "worker",
        "worker_id",
    )

    def __init__(self, claim: Claim, worker: Worker, kind: ExecutorKind, started: float) -> None:
        self.claim = claim
        self.worker: Worker | None = worker
        """None when it is free for another attempt."""
        self.worker_id = worker.id
        self.kind = kind
        self.started = started
        """Monotonic seconds."""
        self.task: asyncio.Task[None] | None = None
        self.timer: Timer | None = None
        self.has_begun = False
        """Whether its asyncio task has."""
        self.has_place = False
        """Whether the work itself has begun."""
        self.is_over = False
        """Whether its end has been decided; its work may still go on."""

    def cancel(self) -> None:
        """Stop its work; what has not begun will see that it is over."""
        if self.task and self.has_begun:
            self.task.cancel()
