"""What a store on one machine knows of its live tasks, and every step they can take: pure, without loop or disk."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from mynah_tasks.admission import admit
from mynah_tasks.alarms import Alarms
from mynah_tasks.errors import QueueFull, StaleClaim, UnknownTask
from mynah_tasks.graph import Graph
from mynah_tasks.ready import ReadyQueue
from mynah_tasks.records import BY_SEQ, DEADLY, SOLITUDE, Moment, Past, Record
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Outcome, Rules
from mynah_tasks.task import Entry, Task, TaskResult, new_id


class Archive(Protocol):
    """The tasks that have ended."""

    def find(self, task_id: str) -> Past | None:
        """The task with this id."""

    def find_key(self, key: str) -> Past | None:
        """The task with this idempotency key."""


class Changes(NamedTuple):
    """What has happened since the last look."""

    touched: Collection[Record]
    """Each record that is new or different, in the order of its first change."""
    ended: Sequence[Record]
    """Those of them that have ended, in the order in which they did."""
    revoked: Sequence[tuple[str, int]]
    """Ids and tokens of the claims that hold no more, although their work has not ended."""


class Book:
    """The live tasks of a store; a method that raises has changed nothing.

    What has ended stays known until `take_changes` hands it over to the archive.
    """

    def __init__(
        self, rules: Rules, archive: Archive, *, dead: int = 0, last_seq: int = 0, last_token: int = 0
    ) -> None:
        self._capacity = rules.capacity
        self._archive = archive
        self._records: dict[str, Record] = {}
        self._keys: dict[str, Record] = {}
        self._graph = Graph()
        self._ready = ReadyQueue(rules.ageing)
        self._alone: Record | None = None
        self._patience: float | None = None
        """When the others go on although a suspect runs, or waits until it can run alone."""
        self._pauses: Alarms[Record] = Alarms()
        self._expiries: Alarms[Record] = Alarms()
        self._running = 0
        self._dead = dead
        self._seq = last_seq
        self._token = last_token
        self._touched: dict[str, Record] = {}
        self._ended: list[Record] = []
        self._revoked: list[tuple[str, int]] = []

    @property
    def counts(self) -> Counts:
        """How many tasks wait, run, and are dead letters."""
        return Counts(self.pending, self._running, self._dead)

    @property
    def pending(self) -> int:
        """How many tasks wait."""
        return len(self._records) - self._running

    @property
    def room(self) -> int:
        """How many tasks more may wait; less than none when retries have come back to a full queue."""
        return self._capacity - len(self._records) + self._running

    @property
    def next_due(self) -> float | None:
        """When `tick` has something to do, monotonic seconds; None if never."""
        pause, expiry = self._pauses.next_due, self._expiries.next_due
        if self._patience is not None:
            return min(due for due in (pause, expiry, self._patience) if due is not None)
        if pause is None or expiry is None:
            return expiry if pause is None else pause
        return min(pause, expiry)

    def live(self) -> list[Record]:
        """The tasks that have not ended, in the order of their acceptance."""
        return list(self._records.values())

    def recent(self) -> list[Record]:
        """What the archive does not answer for, in the order of acceptance: what is live, and what has ended lately."""
        return sorted((*self._records.values(), *self._ended), key=BY_SEQ) if self._ended else self.live()

    def find(self, task_id: str) -> Entry | None:
        """The task and how far it is."""
        record = self._records.get(task_id) or self._touched.get(task_id)
        if record:
            return record.entry
        past = self._archive.find(task_id)
        return past and past.entry

    def find_key(self, key: str) -> Entry | None:
        """The task with this idempotency key and how far it is."""
        if record := self._keys.get(key):
            return record.entry
        past = self._archive.find_key(key)
        return past and past.entry

    def take_changes(self) -> Changes:
        """What has happened since the last call; from now on the archive answers for what has ended."""
        touched, self._touched = self._touched, {}
        if not self._ended and not self._revoked:
            return Changes(touched.values(), (), ())
        changes = Changes(touched.values(), self._ended, self._revoked)
        for record in self._ended:
            if record.task.idempotency_key is not None:
                del self._keys[record.task.idempotency_key]
        self._ended, self._revoked = [], []
        return changes

    def add(self, tasks: Sequence[Task], now: Moment) -> list[str]:
        """Accept all or none; see `Store.add`."""
        admission = admit(tasks, self)
        if admission.fresh and self.pending + len(admission.fresh) > self._capacity:
            raise QueueFull(f"{self.pending} tasks wait and {self._capacity} may")
        for task in admission.fresh.values():
            self._seq += 1
            record = self._touched[task.id] = Record(task, self._seq, now.wall, now.monotonic)
            self._enter(record, now)
            if waits_for := admission.waits_for.get(task.id):
                self._graph.add(task.id, waits_for)
            else:
                self._ready.push(record)
        for task_id, reason in admission.doomed.items():
            if task_id in self._records:  # unless it has gone down with another one
                self._end(self._records[task_id], _cancelled(reason), now)
        return admission.ids

    def claim(self, limit: int, heavy: Callable[[], bool], now: Moment) -> list[Claim]:
        """Take ready tasks; see `Store.claim`, but without waiting."""
        if self._alone:
            return []
        suspect = self._ready.suspect
        self._patience = suspect.ready_at + SOLITUDE if suspect else None
        is_over = self._patience is not None and self._patience <= now.monotonic
        claims = []
        for record in self._ready.take(limit, heavy, idle=is_over or not self._running):
            record.become(TaskStatus.RUNNING)
            self._running += 1
            self._token += 1
            record.token = self._token
            record.attempts += 1
            if record.is_suspect:
                self._alone, self._patience = record, now.monotonic + SOLITUDE
            self._touched[record.task.id] = record
            claims.append(
                Claim(record.task, record.attempts, record.token, now.monotonic - record.ready_at, record.crashes)
            )
        return claims

    def finish(self, claim: Claim, outcome: Outcome, now: Moment) -> None:
        """Record the one outcome; see `Store.finish`."""
        if claim.task.id not in self._records and self._was_finished_by(claim):
            return
        self._end(self._held(claim), outcome, now)

    def retry(self, claim: Claim, error: str, delay: float, now: Moment) -> None:
        """Let the task wait for its next attempt; see `Store.retry`."""
        record = self._held(claim)
        record.error = error
        record.crashes = 0
        self._step_back(record)
        record.pause = self._pauses.set(now.monotonic + delay, record)

    def release(self, claim: Claim, now: Moment, delay: float = 0.0) -> None:
        """Give the task back, its attempt uncounted; see `Store.release`."""
        record = self._held(claim)
        record.attempts -= 1
        self._step_back(record)
        if delay:
            record.pause = self._pauses.set(now.monotonic + delay, record)
        else:
            self._make_ready(record, now)

    def cancel(self, task_id: str, reason: str, now: Moment) -> list[str]:
        """End a task and all that depends on it; see `Store.cancel`."""
        record = self._records.get(task_id)
        if record is None:
            return []
        if record.status is TaskStatus.RUNNING:
            self._revoke(record)
        return self._end(record, _cancelled(reason), now)

    def tick(self, now: Moment) -> None:
        """Do what is due: end back-offs, lives and the patience with a suspect."""
        if self._patience is not None and self._patience <= now.monotonic:
            self._alone = self._patience = None
        while record := self._pauses.pop_due(now.monotonic):
            record.pause = None
            self._touch(record)
            self._make_ready(record, now)
        while record := self._expiries.pop_due(now.monotonic):
            record.expiry = None
            if record.status is TaskStatus.RUNNING:
                self._revoke(record)
            self._end(record, Outcome(TaskStatus.TIMEOUT, error="expired before it was done"), now)

    def replay(self, task_id: str, now: Moment) -> str:
        """Accept the work of a dead letter as a new task; removing the letter is left to the archive."""
        past = self._archive.find(task_id)
        if past is None or not past.is_dead:
            raise UnknownTask(f"there is no dead letter {task_id}")
        anew = replace(past.task, id=new_id(), depends_on=(), expires_at=None, idempotency_key=None)
        self.add([anew], now)
        self._dead -= 1
        return anew.id

    def forget_dead(self, count: int) -> None:
        """Say that so many dead letters are no more."""
        self._dead -= count

    def restore(
        self, records: Sequence[Record], now: Moment, *, waits: Mapping[str, float], held: Mapping[str, int] | None
    ) -> None:
        """Take in what an archive kept, in the order of acceptance; `waits` has the seconds of back-off that are left.

        `held` has the tokens of the claims that are out, by id; None when the process that had any is no more.
        """
        live = {record.task.id for record in records}
        for record in records:
            self._enter(record, now)
            self._running += record.status is TaskStatus.RUNNING
            self._graph.add(record.task.id, live.intersection(record.task.depends_on))
        for record in records:
            if record.outcome:  # it went down with one that had used up its attempts
                continue
            if record.status is TaskStatus.RUNNING:
                if held is None:
                    self._recover(record, now)
                elif held.get(record.task.id) != record.token:  # nobody was told of the claim
                    record.attempts -= 1
                    self._step_back(record)
                    self._make_ready(record, now)
            elif record.task.id in waits:
                record.pause = self._pauses.set(now.monotonic + waits[record.task.id], record)
            elif not self._graph.is_blocked(record.task.id):
                self._ready.push(record)

    def take_over(self, now: Moment) -> None:
        """Decide about the tasks whose claims nobody holds any more."""
        for record in self.live():
            if record.status is TaskStatus.RUNNING:
                self._recover(record, now)

    def _recover(self, record: Record, now: Moment) -> None:
        """Decide about a task whose process died."""
        record.crashes += 1
        record.error = f"the process died during attempt {record.attempts}"
        if record.attempts > record.task.max_retries:
            self._end(record, Outcome(TaskStatus.FAILED, error=record.error), now)
        else:
            self._step_back(record)
            self._make_ready(record, now)

    def _enter(self, record: Record, now: Moment) -> None:
        task = record.task
        self._records[task.id] = record
        if task.idempotency_key is not None:
            self._keys[task.idempotency_key] = record
        if task.expires_at is not None:
            record.expiry = self._expiries.set(now.monotonic + task.expires_at - now.wall, record)

    def _touch(self, record: Record) -> None:
        self._touched[record.task.id] = record

    def _held(self, claim: Claim) -> Record:
        record = self._records.get(claim.task.id)
        if record is None or record.status is not TaskStatus.RUNNING or record.token != claim.token:
            raise StaleClaim(f"attempt {claim.attempt} of task {claim.task.id} no longer holds it")
        return record

    def _was_finished_by(self, claim: Claim) -> bool:
        record = self._touched.get(claim.task.id)
        past = record or self._archive.find(claim.task.id)
        return past is not None and past.token == claim.token

    def _step_back(self, record: Record) -> None:
        record.become(TaskStatus.PENDING)
        self._left_running(record)
        self._touch(record)

    def _left_running(self, record: Record) -> None:
        self._running -= 1
        if self._alone is record:
            self._alone = self._patience = None

    def _make_ready(self, record: Record, now: Moment) -> None:
        record.ready_at = now.monotonic
        self._ready.push(record)

    def _revoke(self, record: Record) -> None:
        """Take the task from the attempt that runs it, so that its outcome will come too late."""
        self._revoked.append((record.task.id, record.token))
        self._token += 1
        record.token = self._token

    def _end(self, record: Record, outcome: Outcome, now: Moment) -> list[str]:
        """Give a task its outcome, and what depends on it the consequence; the ids of all that ended."""
        task_id = record.task.id
        if record.status is TaskStatus.PENDING and not record.pause and not self._graph.is_blocked(task_id):
            self._close(record, outcome, now)
            self._ready.discard(record)
        else:
            self._close(record, outcome, now)
        if outcome.status is TaskStatus.COMPLETED:
            for child in self._graph.complete(task_id):
                self._make_ready(self._records[child], now)
            return [task_id]
        doomed = self._graph.doom(task_id)
        for child in doomed:
            self._close(self._records[child], _cancelled(f"depends on {task_id}, which ended {outcome.status}"), now)
        return [task_id, *doomed]

    def _close(self, record: Record, outcome: Outcome, now: Moment) -> None:
        """Write the outcome into the record and forget it as a live one."""
        if record.status is TaskStatus.RUNNING:
            self._left_running(record)
        record.become(outcome.status)
        record.outcome = TaskResult(
            record.task.id,
            outcome.status,
            outcome.result,
            outcome.error,
            outcome.execution_time,
            record.created_at,
            now.wall,
            record.attempts,
        )
        if record.pause:
            self._pauses.cancel(record.pause)
        if record.expiry:
            self._expiries.cancel(record.expiry)
        del self._records[record.task.id]
        self._dead += outcome.status in DEADLY
        self._touch(record)
        self._ended.append(record)


def _cancelled(reason: str) -> Outcome:
    return Outcome(TaskStatus.CANCELLED, error=reason)
