"""Which ready task is taken next."""

from collections.abc import Callable

from mynah_tasks.lanes import Lanes
from mynah_tasks.records import Record


class ReadyQueue:
    """Ready tasks in the order in which they may run, memory-intensive ones and suspects apart."""

    def __init__(self, ageing: float | None) -> None:
        self._light = Lanes(ageing)
        self._heavy = Lanes(ageing)
        self._suspects = Lanes(ageing)

    @property
    def suspect(self) -> Record | None:
        """The suspect that waits to be given out."""
        head = self._suspects.head()
        return head and head[-1]

    def push(self, record: Record) -> None:
        """Let a pending task take its place."""
        self._lanes(record).push(record)

    def discard(self, record: Record) -> None:
        """Say that a task in here is no longer pending."""
        self._lanes(record).discard()

    def take(self, limit: int, heavy: Callable[[], bool], *, idle: bool) -> list[Record]:
        """The next tasks, at most `limit`, at most one of them memory-intensive, and that only if `heavy()`.

        A suspect is given out alone, when `idle`; as long as one waits, nothing else is.
        """
        if suspect := self._suspects.head():
            if not idle:
                return []
            self._suspects.pop(suspect[-1])
            return [suspect[-1]]
        taken: list[Record] = []
        heavy_head = self._heavy.head()
        if heavy_head and not heavy():
            heavy_head = None
        while len(taken) < limit:
            head = self._light.head()
            if heavy_head and (head is None or heavy_head < head):
                self._heavy.pop(heavy_head[-1])
                taken.append(heavy_head[-1])
                heavy_head = None
            elif head:
                self._light.pop(head[-1])
                taken.append(head[-1])
            else:
                break
        return taken

    def _lanes(self, record: Record) -> Lanes:
        if record.is_suspect:
            return self._suspects
        return self._heavy if record.task.memory_intensive else self._light
