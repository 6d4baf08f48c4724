# ruff: noqa: S608  # queries are put together from constants of this module
"""The statements by which tasks get into SQLite and out of it; used by one thread, raises sqlite3.Error."""

import logging
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from mynah_tasks.records import DEADLY, Moment, Past, Record, page_size
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores.coding import decode, decode_task, encode, encode_task
from mynah_tasks.stores.sqlite_file import VERSION
from mynah_tasks.task import DeadLetter, TaskResult

log = logging.getLogger(__name__)

LIVE = f"('{TaskStatus.PENDING}', '{TaskStatus.RUNNING}')"
PAST = "completed_at IS NOT NULL AND NOT is_dead"

WRITE = """
INSERT INTO state VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (seq) DO UPDATE SET change = excluded.change, status = excluded.status, attempts = excluded.attempts,
    crashes = excluded.crashes, token = excluded.token, pause = excluded.pause, paused_at = excluded.paused_at,
    error = excluded.error, result = excluded.result, execution_time = excluded.execution_time,
    completed_at = excluded.completed_at, is_dead = excluded.is_dead
"""
READ = """
SELECT spec, id, status, result, error, execution_time, created_at, completed_at, attempts, seq, token, is_dead
FROM task JOIN state USING (seq)
"""
READ_LIVE = f"""
SELECT spec, id, task.seq, created_at, status, attempts, crashes, token, error, pause, paused_at
FROM task LEFT JOIN state USING (seq) WHERE status IS NULL OR status IN {LIVE} ORDER BY task.seq
"""
"""A task that nobody has begun has no state yet: to accept one writes as little as can be."""

END = "SELECT change, seq FROM task JOIN state USING (seq) WHERE id = ? AND completed_at IS NOT NULL"

PORTION = 200
"""So many old tasks are forgotten at a time at most."""


class Kept(NamedTuple):
    """The live tasks that the file has."""

    records: list[Record]
    """In the order of their acceptance."""
    waits: dict[str, float]
    """The seconds of back-off that are left, by id."""


class Journal:
    """The tasks of one file; of those that have ended it keeps the last `keep`, and them for `keep_for` seconds."""

    def __init__(self, db: sqlite3.Connection, *, keep: int, keep_for: float) -> None:
        self._db = db
        self._keep = keep
        self._keep_for = keep_for
        self._specs: dict[str, bytes] = {}
        self._results: dict[str, bytes] = {}
        self._buried: set[str] = set()
        self._change: int = self._number("SELECT coalesce(max(change), 0) FROM state")
        self._count()

    def _count(self) -> None:
        self.last_seq: int = self._number("SELECT coalesce(max(seq), 0) FROM task")
        self.last_token: int = self._number(f"SELECT coalesce(max(token), 0) FROM state WHERE status IN {LIVE}")
        self.dead: int = self._number("SELECT count(*) FROM state WHERE is_dead")
        self._past: int = self._number(f"SELECT count(*) FROM state WHERE {PAST}")
        self._last_id: str = self._number("SELECT coalesce(max(id), '') FROM task")
        self._oldest = 0.0

    def find(self, task_id: str) -> Past | None:
        """The task with this id, as of the last commit."""
        if task_id > self._last_id:  # as one that was drawn just now
            return None
        return self._read_one(f"{READ} WHERE id = ?", task_id)

    def find_key(self, key: str) -> Past | None:
        """The task with this idempotency key, as of the last commit."""
        return self._read_one(f"{READ} WHERE idempotency_key = ?", key)

    def live(self, now: Moment) -> Kept:
        """The tasks that have not ended."""
        kept = Kept([], {})
        for row in self._db.execute(READ_LIVE):
            spec, task_id, seq, created_at, status, attempts, crashes, token, error, pause, paused_at = row
            record = Record(decode_task(spec, task_id), seq, created_at, now.monotonic)
            if status is not None:
                record.status = TaskStatus(status)
                record.attempts, record.crashes, record.token, record.error = attempts, crashes, token, error
            kept.records.append(record)
            if pause is not None:
                # However the wall clock was set meanwhile, nobody waits longer than was agreed.
                kept.waits[task_id] = min(max(paused_at + pause - now.wall, 0.0), pause)
        return kept

    def ended(self, *, status: TaskStatus | None, tag: str | None, limit: int, end: int) -> list[Past]:
        """Tasks that had ended by the last commit, of those accepted before number `end`, the newest first."""
        seq, query, values = "state.seq", f"{READ} WHERE", list[object]()
        if tag is not None:
            seq, query, values = "tag.seq", f"{READ} JOIN tag USING (seq) WHERE tag.tag = ? AND", [tag]
        if status is not None:
            query, values = f"{query} status = ? AND", [*values, str(status)]
        query = f"{query} {seq} < ? AND completed_at IS NOT NULL ORDER BY {seq} DESC LIMIT ?"
        return self._read(query, *values, end, limit)

    def seq(self, task_id: str) -> int:
        """The number of a task in the order of acceptance; 0 if it is not in the file."""
        try:
            number: int = self._number("SELECT coalesce(max(seq), 0) FROM task WHERE id = ?", task_id)
        except UnicodeEncodeError:
            return 0  # what is no text is not in the file either
        return number

    def letters(self, *, limit: int, before: str | None) -> list[DeadLetter]:
        """A page of dead letters, the newest first; see `Store.dead_letters`."""
        query, values = f"{READ} WHERE is_dead", list[object]()
        if before is not None:
            query, values = f"{query} AND (state.change, state.seq) < ({END})", [before]
        query = f"{query} ORDER BY state.change DESC, state.seq DESC LIMIT ?"
        pasts = self._read(query, *values, page_size(limit))
        return [DeadLetter.of(past.entry) for past in pasts]

    # What is to be written

    def stage_task(self, task_id: str, spec: bytes) -> None:
        """Have the JSON of a new task at hand for `write`; of what comes again under its id, the first is it."""
        self._specs.setdefault(task_id, spec)

    def stage_result(self, task_id: str, result: bytes) -> None:
        """The same for the result of a task that ends."""
        self._results.setdefault(task_id, result)

    def bury(self, task_id: str) -> None:
        """Have a dead letter become, with the next `write`, a task that has merely ended."""
        self._buried.add(task_id)

    def bury_all(self) -> int:
        """The same for all dead letters of the last commit; how many they are."""
        letters = {
            task_id for (task_id,) in self._db.execute("SELECT id FROM task JOIN state USING (seq) WHERE is_dead")
        }
        count = len(letters - self._buried)
        self._buried |= letters
        return count

    def discard(self) -> None:
        """Forget what was to be written."""
        self._specs.clear()
        self._results.clear()
        self._buried.clear()

    def write(self, touched: Collection[Record], now: Moment) -> int:
        """Write and commit, all or nothing; how many of the oldest dead letters there was no place for."""
        if not touched and not self._buried:
            self.discard()
            return 0
        self._change += 1
        new = [record for record in touched if record.seq > self.last_seq]
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        if self._buried:
            buried = [(task_id,) for task_id in self._buried]
            db.executemany("UPDATE state SET is_dead = 0 WHERE seq = (SELECT seq FROM task WHERE id = ?)", buried)
        if new:
            db.executemany("INSERT INTO task VALUES (?, ?, ?, ?, ?)", [self._constants(record) for record in new])
            if tags := [(tag, record.seq) for record in new for tag in record.task.tags]:
                db.executemany("INSERT INTO tag VALUES (?, ?)", tags)
        db.executemany(WRITE, [self._variables(record, now) for record in touched if not self._is_as_accepted(record)])
        ended = [record for record in touched if record.outcome]
        dead = self.dead + sum(record.status in DEADLY for record in ended) - len(self._buried)
        past = self._past + sum(record.status not in DEADLY for record in ended) + len(self._buried)
        crowded_out = self._crowd_out(dead - self._keep)
        forgotten = self._forget(past - self._keep, now) if ended else 0
        db.execute("COMMIT")
        self.dead, self._past = dead - crowded_out, past - forgotten
        if new:
            self.last_seq = new[-1].seq
            self._last_id = max(self._last_id, *(record.task.id for record in new))
        self.discard()
        return crowded_out

    def has_written(self, touched: Collection[Record], db: sqlite3.Connection) -> bool:
        """Whether `write` of these, which raised, is in the file after all; `db` is a new connection, kept if so."""
        witness = next(iter(touched), None)
        if witness is None:
            return False
        if self._is_as_accepted(witness):
            found = db.execute("SELECT seq FROM task WHERE id = ?", (witness.task.id,)).fetchone()
        else:
            found = db.execute(
                "SELECT seq FROM state WHERE (seq, change) = (?, ?)", (witness.seq, self._change)
            ).fetchone()
        if found != (witness.seq,):
            return False
        self._db = db
        self.discard()
        self._count()
        return True

    def expel(self, ids: Collection[str]) -> None:
        """Delete tasks as if they had never come."""
        if ids:
            self._db.execute("BEGIN IMMEDIATE")
            seqs = [row for task_id in ids for row in self._db.execute("SELECT seq FROM task WHERE id = ?", (task_id,))]
            self._delete(seqs)
            self._db.execute("COMMIT")
            self._count()

    def probe(self) -> None:
        """See whether the file can be written."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.execute(f"PRAGMA user_version = {VERSION}")
            self._db.execute("COMMIT")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _crowd_out(self, surplus: int) -> int:
        """Delete the oldest dead letters of which there are too many; how many."""
        if surplus <= 0:
            return 0
        log.error("%d dead letters are forgotten: there are more than %d", surplus, self._keep)
        oldest = "SELECT seq FROM state WHERE is_dead ORDER BY change, seq LIMIT ?"
        self._delete(self._db.execute(oldest, (surplus,)).fetchall())
        return surplus

    def _forget(self, surplus: int, now: Moment) -> int:
        """Delete a portion of the oldest ended tasks, if there are too many or they are too old; how many."""
        limit = now.wall - self._keep_for
        if surplus <= 0 and self._oldest >= limit:
            return 0
        query = f"SELECT seq, completed_at FROM state WHERE {PAST} ORDER BY completed_at LIMIT ?"
        oldest = self._db.execute(query, (PORTION,)).fetchall()
        self._oldest = oldest[0][1] if oldest else now.wall
        victims = [(seq,) for rank, (seq, ended_at) in enumerate(oldest) if rank < surplus or ended_at < limit]
        self._delete(victims)
        return len(victims)

    def _delete(self, seqs: Sequence[tuple[int]]) -> None:
        for table in ("task", "state", "tag"):
            self._db.executemany(f"DELETE FROM {table} WHERE seq = ?", seqs)

    def _is_as_accepted(self, record: Record) -> bool:
        """Whether a task is new, and nothing has happened to it yet."""
        return record.seq > self.last_seq and not record.token and record.outcome is None

    def _constants(self, record: Record) -> tuple[object, ...]:
        task = record.task
        spec = self._specs.get(task.id) or encode_task(task)
        return record.seq, task.id, task.idempotency_key, record.created_at, spec

    def _variables(self, record: Record, now: Moment) -> tuple[object, ...]:
        state, result = record.outcome, None
        if state and state.result is not None:
            result = self._results.get(record.task.id) or encode(state.result, "the result")
        error = state.error if state else record.error
        return (
            record.seq,
            self._change,
            record.status,
            record.attempts,
            record.crashes,
            record.token,
            record.pause.when - now.monotonic if record.pause else None,
            now.wall if record.pause else None,
            error and error.encode("utf-8", "backslashreplace").decode(),
            result,
            state.execution_time if state else 0.0,
            state.completed_at if state else None,
            record.status in DEADLY,
        )

    def _read(self, query: str, *values: object) -> list[Past]:
        try:
            return [self._past_of(*row) for row in self._db.execute(query, values)]
        except UnicodeEncodeError:
            return []  # what is no text is not in the file either

    def _read_one(self, query: str, value: str) -> Past | None:
        return next(iter(self._read(query, value)), None)

    def _past_of(self, spec: bytes, task_id: str, *columns: Any) -> Past:
        status, result, error, execution_time, created_at, completed_at, attempts, seq, token, is_dead = columns
        state = TaskResult(
            task_id, TaskStatus(status), decode(result), error, execution_time, created_at, completed_at, attempts
        )
        return Past(decode_task(spec, task_id), state, seq, token, bool(is_dead) and task_id not in self._buried)

    def _number(self, query: str, *values: object) -> Any:
        (number,) = self._db.execute(query, values).fetchone()
        return number
