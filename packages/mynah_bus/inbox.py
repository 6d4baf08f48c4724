"""The bounded queue before a handler."""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """What waits for one handler: the urgent first, then first come, first served. When full it takes no more."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._heap: list[tuple[int, int, T]] = []
        self._arrivals = 0

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, item: T, priority: int) -> T | None:
        """Let an item wait; returns the one for which there is no room."""
        if len(self._heap) >= self._capacity:
            return item
        self._arrivals += 1
        heapq.heappush(self._heap, (priority, self._arrivals, item))
        return None

    def take(self) -> T:
        """The most urgent item, of those the oldest; IndexError when none waits."""
        return heapq.heappop(self._heap)[2]

    def drain(self) -> Iterator[T]:
        """Take all that waits."""
        while self._heap:
            yield self.take()


class StreamInbox(Inbox[T]):
    """What waits of a stream, in the order in which it came. When full the oldest goes."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[T] = deque()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, priority: int) -> T | None:  # noqa: ARG002  # a stream has one
        """Let an item wait; returns the one for which there is no room."""
        if not self._capacity:
            return item
        self._items.append(item)
        return self._items.popleft() if len(self._items) > self._capacity else None

    def take(self) -> T:
        """The oldest item; IndexError when none waits."""
        return self._items.popleft()

    def drain(self) -> Iterator[T]:
        """Take all that waits."""
        while self._items:
            yield self._items.popleft()
