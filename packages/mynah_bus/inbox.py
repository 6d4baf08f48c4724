"""The bounded queue before a handler: urgent first, then first come, first served."""

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """What waits for one handler; `put` says what has to go when it is full."""

    def __init__(self, capacity: int, *, drop_oldest: bool) -> None:
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._heap: list[tuple[int, int, T]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, item: T, priority: int) -> T | None:
        """Let an item wait; returns the one for which there is no room: this one, or the oldest of a stream."""
        gone = None
        if len(self._heap) >= self._capacity:
            if not self._drop_oldest or not self._heap:
                return item
            oldest = min(self._heap, key=lambda entry: entry[1])
            self._heap.remove(oldest)
            heapq.heapify(self._heap)
            gone = oldest[2]
        self._arrivals += 1
        heapq.heappush(self._heap, (priority, self._arrivals, item))
        return gone

    def take(self) -> T:
        """The most urgent item, of those the oldest; IndexError when none waits."""
        return heapq.heappop(self._heap)[2]

    def drain(self) -> Iterator[T]:
        """Take all that waits."""
        while self._heap:
            yield self.take()
