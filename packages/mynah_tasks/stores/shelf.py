"""Keeps tasks that have ended in memory, as many as it may."""

import itertools
import logging
import math
from collections import OrderedDict

from mynah_tasks.records import DEADLY, Past, Record
from mynah_tasks.task import TaskResult

log = logging.getLogger(__name__)


class Shelf:
    """The last `keep` tasks that ended, and as many dead letters."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._past: OrderedDict[str, Record] = OrderedDict()
        self._dead: OrderedDict[str, Record] = OrderedDict()
        self._keys: dict[str, str] = {}
        self._ends: dict[str, int] = {}
        """When each of them ended, as a number."""
        self._numbers = itertools.count()

    def find(self, task_id: str) -> Past | None:
        """The task with this id."""
        record = self._past.get(task_id) or self._dead.get(task_id)
        return self._of(record) if record else None

    def outcome(self, task_id: str) -> TaskResult | None:
        """What became of the task with this id."""
        record = self._past.get(task_id) or self._dead.get(task_id)
        return record.outcome if record else None

    def find_key(self, key: str) -> Past | None:
        """The task with this idempotency key."""
        task_id = self._keys.get(key)
        return self.find(task_id) if task_id else None

    def put(self, record: Record) -> int:
        """Keep what has ended; how many dead letters had to go for it."""
        if record.task.idempotency_key is not None:
            self._keys[record.task.idempotency_key] = record.task.id
        self._ends[record.task.id] = next(self._numbers)
        if record.status not in DEADLY:
            self._place(self._past, record)
            return 0
        gone = self._place(self._dead, record)
        if gone is None:
            return 0
        log.error("dead letter %s is forgotten: there are more than %d", gone.task.id, self._keep)
        return 1

    def bury(self, task_id: str) -> None:
        """Let a dead letter become a task that has merely ended."""
        self._place(self._past, self._dead.pop(task_id))

    def bury_all(self) -> int:
        """Let all dead letters become tasks that have merely ended; how many they were."""
        letters = list(self._dead)
        for task_id in letters:
            self.bury(task_id)
        return len(letters)

    def dead(self, before: str | None) -> list[Record]:
        """The dead letters, the newest first; of those that ended before a task, nothing if that is not here."""
        end = math.inf if before is None else self._ends.get(before, 0)
        return [record for record in reversed(self._dead.values()) if self._ends[record.task.id] < end]

    def all(self) -> list[Record]:
        """All of it, in no order."""
        return [*self._past.values(), *self._dead.values()]

    def _place(self, place: OrderedDict[str, Record], record: Record) -> Record | None:
        """Put it there; the one that had to go for it, if any."""
        place[record.task.id] = record
        if len(place) <= self._keep:
            return None
        task_id, oldest = place.popitem(last=False)
        del self._ends[task_id]
        if oldest.task.idempotency_key is not None:
            del self._keys[oldest.task.idempotency_key]
        return oldest

    def _of(self, record: Record) -> Past:
        assert record.outcome is not None
        is_dead = record.task.id in self._dead
        return Past(record.task, record.outcome, record.seq, record.token, is_dead)
