"""Keeps tasks that have ended in memory, as many as it may."""

import logging
from collections import OrderedDict

from mynah_tasks.records import Past

log = logging.getLogger(__name__)


class Shelf:
    """The last `keep` tasks that ended, and as many dead letters."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._past: OrderedDict[str, Past] = OrderedDict()
        self._dead: OrderedDict[str, Past] = OrderedDict()
        self._keys: dict[str, Past] = {}

    def find(self, task_id: str) -> Past | None:
        """The task with this id."""
        return self._dead.get(task_id) or self._past.get(task_id)

    def find_key(self, key: str) -> Past | None:
        """The task with this idempotency key."""
        return self._keys.get(key)

    def put(self, past: Past) -> int:
        """Keep what has ended; how many dead letters had to go for it."""
        place = self._dead if past.is_dead else self._past
        place[past.task.id] = past
        if past.task.idempotency_key is not None:
            self._keys[past.task.idempotency_key] = past
        if len(place) <= self._keep:
            return 0
        _, oldest = place.popitem(last=False)
        if oldest.task.idempotency_key is not None:
            del self._keys[oldest.task.idempotency_key]
        if oldest.is_dead:
            log.error("dead letter %s is forgotten: there are more than %d", oldest.task.id, self._keep)
        return oldest.is_dead

    def bury(self, task_id: str) -> None:
        """Let a dead letter become a task that has merely ended."""
        self.put(self._dead.pop(task_id)._replace(is_dead=False))

    def bury_all(self) -> int:
        """Let all dead letters become tasks that have merely ended; how many they were."""
        letters = list(self._dead)
        for task_id in letters:
            self.bury(task_id)
        return len(letters)

    def dead(self) -> list[Past]:
        """The dead letters, the newest first."""
        return list(reversed(self._dead.values()))

    def all(self) -> list[Past]:
        """All of it, in no order."""
        return [*self._past.values(), *self._dead.values()]
