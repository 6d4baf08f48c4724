"""What the engine asks of a store.

A store holds the truth about every task: which wait, for what, in which order, who may run them, and what became of
them. It counts an attempt before it hands it out, so that a task that kills its process is known by it, and it accepts
an outcome only from the attempt that holds the task (`Claim.token`). Everything a call reports has been written down as
durably as the store can; a call that raises StoreUnavailable has changed nothing, unless a server's answer was lost.

Order: the smaller priority first and, within one, in the order in which tasks became ready. A task that has waited
`Rules.ageing` seconds counts as one priority more urgent, and so on, so that nothing starves.

A task that was running when its process died is ready again at once; after `max_retries` retries it ends `failed`, as a
dead letter. From its second crash on it is handed out alone, so that whoever runs beside a poisonous task is not taken
for one; the others wait for `SOLITUDE` seconds until it can be, and as many while it runs, but not longer.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from mynah_tasks.clock import Clock
from mynah_tasks.states import TaskStatus
from mynah_tasks.task import DeadLetter, Entry, Task, TaskResult


@dataclass(frozen=True, slots=True)
class Rules:
    """What the engine wants of its queue."""

    capacity: int = 1000
    """How many tasks may wait, those in back-off or behind a dependency included; running ones are not counted."""
    ageing: float | None = 60.0
    """Seconds of waiting that make a task one priority more urgent; None: never."""


class Claim(NamedTuple):
    """The right to run one attempt of a task."""

    task: Task
    attempt: int
    """1 for the first."""
    token: int
    """Larger for each later claim of the same task; an outcome with an older token is refused."""
    waited: float = 0.0
    """Seconds between being ready and being claimed."""
    crashes: int = 0
    """How often in a row the process died under it; from `ALONE_FROM` on it is handed out alone."""


class Outcome(NamedTuple):
    """How the last attempt ended: completed, failed or timeout."""

    status: TaskStatus
    result: Any = None
    error: str | None = None
    execution_time: float = 0.0
    """Seconds."""


class Counts(NamedTuple):
    """How many tasks there are."""

    pending: int = 0
    running: int = 0
    dead: int = 0


class Listener(Protocol):
    """Hears from the store, on the event loop; must not raise."""

    def finished(self, task: Task, result: TaskResult) -> None:
        """The task has its one outcome, which was recorded through this store object."""

    def revoked(self, task_id: str, token: int) -> None:
        """The claim given through this store object holds no more (cancelled, expired, lease lost): stop its work."""


class Store(Protocol):
    """Keeps tasks; opened and closed as an async context manager, after `attach`."""

    durable: bool
    """Whether what was accepted survives this process."""
    name: str
    """What the start-up line calls it: in-memory, SQLite, Redis."""

    @property
    def counts(self) -> Counts:
        """How many tasks there are, as of the store's last answer."""

    @property
    def trouble(self) -> str | None:
        """A code for what is wrong with the store at the moment, for the health report; None when nothing is."""

    def attach(self, listener: Listener, rules: Rules, clock: Clock) -> None:
        """Say who listens, which rules hold, and whose timers to use; before opening."""

    async def __aenter__(self) -> Self:
        """Open, and recover what a dead process left; raises StoreUnavailable or StoreLocked."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is outstanding and close; whoever still waits gets EngineStopped."""

    async def add(self, tasks: Sequence[Task]) -> list[str]:
        """Accept all or none and give their ids; a task whose idempotency key is known yields the id it first got.

        Dependencies may stand in the same call, in any order. A task behind a dependency that has not completed ends
        cancelled at once. Raises QueueFull, DuplicateTask, UnknownDependency, DependencyCycle, NotStorable.
        """

    async def room(self, count: int) -> None:
        """Wait until so many tasks more may wait."""

    async def claim(self, limit: int, heavy: Callable[[], bool]) -> list[Claim]:
        """Wait for ready tasks and take the first ones, at least one and at most `limit`; nothing once halted.

        At most one of them is memory-intensive, and only if `heavy()` says that there is memory for it, which is asked
        when they are taken, in any thread. One call at a time.
        """

    def halt(self) -> None:
        """Hand out no more claims; a waiting `claim` returns an empty list."""

    async def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Record the one outcome; again with the same claim is harmless. Raises StaleClaim, NotStorable.

        A failed or timed-out task becomes a dead letter, and everything that depends on it ends cancelled.
        """

    async def retry(self, claim: Claim, error: str, delay: float) -> None:
        """Let the task wait for `delay` seconds and then be ready again; raises StaleClaim."""

    async def release(self, claim: Claim, delay: float = 0.0) -> None:
        """Give the task back as if it had not been claimed, to be ready again after so many seconds; raises StaleClaim.

        The attempt does not count.
        """

    async def cancel(self, task_id: str, reason: str) -> list[str]:
        """End the task and everything that depends on it as cancelled; their ids, none when it was over or unknown."""

    async def get(self, task_id: str) -> Entry | None:
        """The task and how far it is; None when it never was or is forgotten."""

    async def wait(self, task_id: str) -> TaskResult:
        """Wait for the outcome, also while the store fails; raises UnknownTask, or EngineStopped when it closes."""

    async def entries(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first; `before` is the id of the last one of the page before."""

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Dead letters, that of the task which ended last first; `before` is the id of the last one of the page before.

        That may be a letter no more; a task that has not ended or is forgotten has nothing before it.
        """

    async def replay(self, task_id: str) -> str:
        """Accept a dead letter's work as a new task, its letter being removed; the new id.

        Its expiry and its idempotency key stay behind with the old task. Raises UnknownTask, QueueFull.
        """

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters (the outcomes of their tasks stay); how many there were."""
