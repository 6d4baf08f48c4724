"""What the engine must do, in the plainest words: the reference that the stateful test compares it with."""

from dataclasses import dataclass, field

from mynah_tasks.states import TaskStatus

WORKERS = 2
CAPACITY = 6
TIMEOUT = 30.0
BACK_OFF = (2.0, 4.0, 8.0, 16.0)

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, TIMED_OUT = TaskStatus


@dataclass
class Modelled:
    """A task."""

    number: int
    priority: int
    max_retries: int
    parents: tuple[str, ...]
    expires: float | None
    status: TaskStatus = PENDING
    attempts: int = 0
    crashes: int = 0
    rank: tuple[float, int] | None = None
    """Its place among those that are ready; None while it is not."""
    wakes: float | None = None
    deadline: float | None = None


@dataclass
class Model:
    """All tasks, and how each event changes them."""

    tasks: dict[str, Modelled] = field(default_factory=dict)
    letters: list[str] = field(default_factory=list)
    """Dead letters, the oldest first."""
    now: float = 1000.0
    ranks: int = 0
    goes_by_acceptance: bool = False
    """Whether the first accepted goes first, and not the first ready, of those that became ready at the same moment."""

    def having(self, status: TaskStatus) -> list[str]:
        """The tasks of that status, in the order of their acceptance."""
        return [task_id for task_id, task in self.tasks.items() if task.status is status]

    def running(self) -> list[str]:
        """The running tasks, in the order in which they began."""
        return sorted(self.having(RUNNING), key=lambda task_id: self.tasks[task_id].deadline or 0)

    # Events

    def submit(
        self, task_id: str, priority: int, max_retries: int, parents: tuple[str, ...], expires: float | None
    ) -> bool:
        """Whether it was accepted."""
        if len(self.having(PENDING)) >= CAPACITY:
            return False
        self.tasks[task_id] = Modelled(len(self.tasks), priority, max_retries, parents, expires)
        if any(self.tasks[parent].status in (FAILED, CANCELLED, TIMED_OUT) for parent in parents):
            self.end(task_id, CANCELLED)
        self.unblock()
        self.begin()
        return True

    def succeed(self, task_id: str) -> None:
        self.end(task_id, COMPLETED)
        self.begin()

    def fail(self, task_id: str, status: TaskStatus = FAILED, *, is_final: bool = False) -> None:
        task = self.tasks[task_id]
        if is_final or task.attempts > task.max_retries:
            self.end(task_id, status)
        else:
            task.status, task.deadline, task.crashes = PENDING, None, 0
            task.wakes = self.now + BACK_OFF[task.attempts - 1]
        self.begin()

    def cancel(self, task_id: str) -> list[str]:
        """The ids of what was cancelled."""
        if self.tasks[task_id].status.is_terminal:
            return []
        before = {each for each, task in self.tasks.items() if task.status is CANCELLED}
        self.end(task_id, CANCELLED)
        self.begin()
        return [each for each, task in self.tasks.items() if task.status is CANCELLED and each not in before]

    def next_due(self) -> float | None:
        """When something happens by itself."""
        moments = [
            when
            for task in self.tasks.values()
            if not task.status.is_terminal
            for when in (task.wakes, task.deadline, task.expires)
            if when is not None
        ]
        return min(moments, default=None)

    def pass_time(self) -> None:
        """Go to that moment, and let it happen."""
        self.now = self.next_due() or self.now
        for task_id in self.running():
            task = self.tasks[task_id]
            if (
                task.deadline is not None
                and task.deadline <= self.now
                and not (task.expires and task.expires <= self.now)
            ):
                self.fail(task_id, TIMED_OUT)
        for task in self.tasks.values():
            if task.wakes is not None and task.wakes <= self.now:
                task.wakes = None
                self.make_ready(task)
        for task_id, task in self.tasks.items():
            if not task.status.is_terminal and task.expires is not None and task.expires <= self.now:
                self.end(task_id, TIMED_OUT)
        self.begin()

    def restart(self, *, keeps_order: bool) -> None:
        """Stop at once and start again: what runs is given back, unless it may be begun only once."""
        for task_id in self.running():
            task = self.tasks[task_id]
            if task.max_retries == 0:
                self.end(task_id, FAILED)
            else:
                task.status, task.deadline, task.attempts = PENDING, None, task.attempts - 1
                self.make_ready(task)
        if not keeps_order:
            self.line_up()
        self.begin()

    def crash(self, *, keeps_order: bool) -> None:
        """Die and start again."""
        for task_id in self.running():
            task = self.tasks[task_id]
            task.crashes += 1
            if task.attempts > task.max_retries:
                self.end(task_id, FAILED)
            else:
                task.status, task.deadline = PENDING, None
                self.make_ready(task)
        if not keeps_order:
            self.line_up()
        self.begin()

    def replay(self, task_id: str, new: str) -> bool:
        """Whether there was room."""
        old = self.tasks[task_id]
        if not self.submit(new, old.priority, old.max_retries, (), None):
            return False
        self.letters.remove(task_id)
        return True

    # Consequences

    def end(self, task_id: str, status: TaskStatus) -> None:
        task = self.tasks[task_id]
        task.status, task.rank, task.wakes, task.deadline = status, None, None, None
        if status in (FAILED, TIMED_OUT):
            self.letters.append(task_id)
        if status is COMPLETED:
            self.unblock()
            return
        for child_id, child in self.tasks.items():
            if task_id in child.parents and not child.status.is_terminal:
                self.end(child_id, CANCELLED)

    def unblock(self) -> None:
        for task in self.tasks.values():
            is_waiting = task.status is PENDING and task.rank is None and task.wakes is None
            if is_waiting and all(self.tasks[parent].status is COMPLETED for parent in task.parents):
                self.make_ready(task)

    def make_ready(self, task: Modelled) -> None:
        self.ranks += 1
        task.rank = (self.now, task.number if self.goes_by_acceptance else self.ranks)

    def line_up(self) -> None:
        """What is ready stands in the order of acceptance again."""
        for task in self.tasks.values():
            if task.rank is not None:
                self.make_ready(task)

    def begin(self) -> None:
        """Let idle workers take what is ready."""
        while len(running := self.running()) < WORKERS:
            ready = [task for task in self.tasks.values() if task.rank is not None]
            suspects = [task for task in ready if task.crashes >= 2]
            if any(self.tasks[task_id].crashes >= 2 for task_id in running) or (suspects and running):
                return
            if not ready:
                return
            task = min(suspects or ready, key=lambda task: (task.priority, task.rank))
            task.status, task.rank, task.attempts = RUNNING, None, task.attempts + 1
            task.deadline = self.now + TIMEOUT
