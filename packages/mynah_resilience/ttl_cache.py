"""A small cache in memory whose entries grow old."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Keeps at most `capacity` values for `ttl` seconds each, then drops the oldest; any thread may use it."""

    def __init__(self, ttl: float = 300.0, capacity: int = 100, *, clock: Callable[[], float] = time.monotonic) -> None:
        if ttl <= 0 or capacity < 1:
            raise ValueError("a cache keeps something: ttl > 0, capacity >= 1")
        self._ttl = ttl
        self._capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        # All live equally long, so the order of entry is the order of expiry.
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K) -> V | None:
        """The value, or None when there is none or it is too old."""
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
            return None if entry is None else entry[1]

    def put(self, key: K, value: V) -> None:
        """Keep `value`, fresh from now."""
        with self._lock:
            self._drop_old()
            self._entries.pop(key, None)
            while len(self._entries) >= self._capacity:
                self._entries.popitem(last=False)
            self._entries[key] = (self._clock() + self._ttl, value)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()

    def __len__(self) -> int:
        with self._lock:
            self._drop_old()
            return len(self._entries)

    def _drop_old(self) -> None:
        now = self._clock()
        while self._entries and next(iter(self._entries.values()))[0] <= now:
            self._entries.popitem(last=False)
