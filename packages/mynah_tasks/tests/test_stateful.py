"""The engine against its model: whatever happens in whatever order, nothing is lost, doubled or stuck."""

import asyncio
import os
import shutil
import tempfile
from abc import abstractmethod
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.engine import TaskEngine
from mynah_tasks.errors import QueueFull, Unretryable
from mynah_tasks.stores import Store
from mynah_tasks.stores.memory import MemoryStore
from mynah_tasks.stores.sqlite import SqliteStore
from mynah_tasks.task import Priority, Task, TaskResult
from mynah_tasks.testing import Act, ManualClock, Puppet
from mynah_tasks.tests.model import CAPACITY, PENDING, RUNNING, TIMEOUT, WORKERS, Model

EXAMPLES = int(os.environ.get("MYNAH_EXAMPLES", "25"))

picks = st.integers(0, 1000)


class EngineMachine(RuleBasedStateMachine):
    """Does the same to an engine and to the model."""

    keeps_order = False
    """Whether what is ready stays in its order when the store is closed and opened."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.puppet = Puppet()
        self.model = Model()
        self.told: list[tuple[str, str]] = []
        self.do(self.start(self.make_store()))

    @abstractmethod
    def make_store(self) -> Store:
        """A fresh store."""

    def do(self, work: Any) -> Any:
        """Run it, and all that follows from it."""

        async def and_settle() -> Any:
            result = await work
            for _ in range(6):
                await self.engine._store.get("so that what was begun has gone through the store")
                for _ in range(6):
                    await asyncio.sleep(0)
            return result

        return self.loop.run_until_complete(and_settle())

    async def start(self, store: Store) -> None:
        told = self.told

        class Events:
            async def publish(self, event: str, data: Any = None) -> None:
                if isinstance(data, TaskResult):
                    told.append((data.task_id, event))

        self.engine = TaskEngine(
            store,
            max_workers=WORKERS,
            queue_size=CAPACITY,
            default_timeout=TIMEOUT,
            ageing=None,
            retry=RetryPolicy(jitter=0),
            events=Events(),
            clock=self.clock,
        )
        self.engine.register_processor("work", self.puppet)
        await self.engine.start()

    def acts(self) -> dict[str, Act]:
        return {act.claim.task.id: act for act in self.puppet.acts if not act._end.done()}

    def running(self, pick: int) -> str:
        running = self.model.running()
        return running[pick % len(running)]

    @rule(
        target=ids,
        priority=st.sampled_from(Priority),
        max_retries=st.integers(0, 3),
        parents=st.lists(ids, max_size=3, unique=True),
        lifetime=st.none() | st.none() | st.sampled_from([3.25, 10.5, 33.125]),
    )
    def submit(self, priority: Priority, max_retries: int, parents: list[str], lifetime: float | None) -> Any:
        expires_at = None if lifetime is None else self.clock.wall() + lifetime
        task = Task("work", None, priority, max_retries=max_retries, depends_on=parents, expires_at=expires_at)
        expires = None if lifetime is None else self.clock.monotonic() + lifetime
        if self.model.submit(task.id, priority, max_retries, tuple(parents), expires):
            assert self.do(self.engine.submit(task)) == task.id
            return task.id
        with pytest.raises(QueueFull):
            self.do(self.engine.submit(task))
        return multiple()

    @precondition(lambda self: self.model.having(RUNNING))
    @rule(pick=picks)
    def succeed(self, pick: int) -> None:
        task_id = self.running(pick)
        self.model.succeed(task_id)
        self.do(self.end(task_id, lambda act: act.succeed("done")))

    @precondition(lambda self: self.model.having(RUNNING))
    @rule(pick=picks, is_final=st.booleans())
    def fail(self, pick: int, *, is_final: bool) -> None:
        task_id = self.running(pick)
        self.model.fail(task_id, is_final=is_final)
        self.do(self.end(task_id, lambda act: act.fail(Unretryable("no") if is_final else ValueError("no"))))

    async def end(self, task_id: str, how: Any) -> None:
        how(self.acts()[task_id])

    @rule(task_id=ids)
    def cancel(self, task_id: str) -> None:
        cancelled = self.model.cancel(task_id)
        assert sorted(self.do(self.engine.cancel_task(task_id))) == sorted(cancelled)

    @precondition(lambda self: self.model.next_due() is not None)
    @rule()
    def wait_until_something_is_due(self) -> None:
        due = self.model.next_due()
        assert self.do(self.clock.timer()) == pytest.approx(due - self.clock.monotonic())
        self.model.pass_time()
        self.do(self.clock.to_next_timer())
        self.model.now = self.clock.monotonic()

    @rule(seconds=st.sampled_from([0.0625, 0.375, 0.71875]))
    def let_a_moment_pass(self, seconds: float) -> None:
        due = self.model.next_due()
        if due is None or due > self.clock.monotonic() + seconds:
            self.clock.advance(seconds)
            self.model.now = self.clock.monotonic()

    @rule()
    def restart(self) -> None:
        self.model.restart(keeps_order=self.keeps_order)
        self.do(self.stop_and_start())

    async def stop_and_start(self) -> None:
        await self.engine.shutdown(0)
        await self.engine.start()

    @precondition(lambda self: self.model.letters)
    @rule(target=ids, pick=picks)
    def replay(self, pick: int) -> Any:
        letter = self.model.letters[pick % len(self.model.letters)]
        if len(self.model.having(PENDING)) >= CAPACITY:
            with pytest.raises(QueueFull):
                self.do(self.engine.replay(letter))
            return multiple()
        new = self.do(self.engine.replay(letter))
        assert self.model.replay(letter, new)
        return new

    @rule()
    def clear_dead_letters(self) -> None:
        assert self.do(self.engine.clear_dead_letters()) == len(self.model.letters)
        self.model.letters.clear()

    @invariant()
    def the_engine_is_where_the_model_is(self) -> None:
        entries = {entry.task.id: entry.state for entry in self.do(self.engine.list_tasks(limit=10_000))}
        found = {task_id: (state.status, state.attempts) for task_id, state in entries.items()}
        assert found == {task_id: (task.status, task.attempts) for task_id, task in self.model.tasks.items()}
        assert sorted(self.acts()) == sorted(self.model.having(RUNNING))
        assert all(self.acts()[each].claim.attempt == self.model.tasks[each].attempts for each in self.model.running())
        counts = self.engine._store.counts
        letters = [letter.task_id for letter in self.do(self.engine.dead_letters(limit=10_000))]
        assert sorted(letters) == sorted(self.model.letters)
        assert counts == (len(self.model.having(PENDING)), len(self.model.having(RUNNING)), len(self.model.letters))

    @invariant()
    def every_outcome_was_told_once(self) -> None:
        ended = {(each, f"task_{task.status}") for each, task in self.model.tasks.items() if task.status.is_terminal}
        assert len(self.told) == len(set(self.told))
        assert set(self.told) == ended

    def teardown(self) -> None:
        try:
            while self.model.having(PENDING) or self.model.having(RUNNING):
                if self.model.having(RUNNING):
                    self.succeed(0)
                else:
                    self.wait_until_something_is_due()
                self.the_engine_is_where_the_model_is()
            self.every_outcome_was_told_once()
        finally:
            self.do_quietly(self.engine.shutdown(0))
            self.loop.close()
            shutil.rmtree(self.folder)

    def do_quietly(self, work: Any) -> None:
        self.loop.run_until_complete(work)


class MemoryMachine(EngineMachine):
    """A store in memory, which does not survive a crash and need not."""

    keeps_order = True

    def make_store(self) -> Store:
        return MemoryStore()


class MortalMachine(EngineMachine):
    """A process that may die at any moment."""

    @abstractmethod
    def store_after_a_crash(self) -> Store:
        """The store as another process would find it if this one died now."""

    @rule()
    def crash(self) -> None:
        left = self.store_after_a_crash()
        told = list(self.told)
        self.do_quietly(self.engine.shutdown(0))
        self.told[:] = told
        self.model.crash(keeps_order=self.keeps_order)
        self.do(self.start(left))


class SqliteMachine(MortalMachine):
    """A store in a file."""

    lives = 0

    def make_store(self) -> Store:
        return SqliteStore(self.folder / "0.db")

    def store_after_a_crash(self) -> Store:
        dead = self.folder / f"{self.lives}.db"
        self.lives += 1
        left = self.folder / f"{self.lives}.db"
        for suffix in ("", "-wal"):
            if (file := Path(f"{dead}{suffix}")).exists():
                shutil.copy(file, f"{left}{suffix}")
        return SqliteStore(left)


limits = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestWithMemory = pytest.mark.req("P1", "Q-01", "ENG-05", "ENG-10", "ENG-11", "ENG-12")(MemoryMachine.TestCase)
TestWithMemory.settings = limits
TestWithSqlite = pytest.mark.req("P1", "SHD-03")(SqliteMachine.TestCase)
TestWithSqlite.settings = limits
