"""One door for code that must not run where it was called: on the loop, in threads, or in processes."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Self

from mynah_resilience import OneThread
from mynah_tasks.executors.errors import ExecutorsClosed
from mynah_tasks.executors.kinds import ExecutorKind
from mynah_tasks.executors.limit import within
from mynah_tasks.executors.memory import MemoryGate
from mynah_tasks.executors.processes import ProcessPool
from mynah_tasks.executors.threads import ThreadPool

MOST_MODELS = 32


@dataclass(frozen=True, slots=True)
class Load:
    """What the executors are doing."""

    threads: int
    """How many threads there may be, those of models included."""
    threads_busy: int
    threads_hung: tuple[str, ...]
    """The functions that did not come back after their callers had gone."""
    processes: int
    processes_busy: int
    processes_replaced: int
    """How many had to be killed, or died."""
    memory_heavy: int
    """How many memory-heavy tasks run."""


class Executors:
    """Where tasks run; an async context manager, whose end kills processes and leaves hung threads behind.

    The end takes at most `grace` seconds, whatever hangs. Threads, and processes, are started when first needed.
    """

    def __init__(
        self,
        *,
        threads: int = 5,
        processes: int = 2,
        memory: MemoryGate | None = None,
        process_memory: int | None = None,
        grace: float = 2.0,
    ) -> None:
        """Prepare; `process_memory` bounds what one worker process may allocate, in bytes of address space."""
        self._memory = memory or MemoryGate()
        self._grace = grace
        self._sizes = threads, processes, process_memory
        self._make_pools()
        self._open = False

    async def __aenter__(self) -> Self:
        self._make_pools()
        self._thread = OneThread("the executors")
        self._thread.check()
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._open = False
        await asyncio.gather(self._processes.aclose(self._grace), *(pool.aclose(self._grace) for pool in self._pools()))

    async def run(
        self,
        kind: ExecutorKind,
        fn: Callable[[Any], Any],
        payload: object,
        *,
        timeout: float | None,  # counted while the work runs, not while it waits
        memory_heavy: bool = False,
        on_begin: Callable[[], None] = lambda: None,
    ) -> Any:
        """What `fn(payload)` returns, run in the place that `kind` names.

        An awaitable that it returns is awaited on the loop, also where a thread made it, or else in its process. There,
        function and data must be portable. The deadline, in seconds, runs while the work runs, not while it waits for
        its place; `on_begin` is called when it has that.

        Raises:
            DeadlineExceeded: it took longer.
            NoPlace: it has not begun and cannot at the moment.
            ExecutorError: see the tree in `errors`.
            WrongThread: this is not the thread in which they were opened.
        """
        if not self._open:
            raise ExecutorsClosed("the executors are not open")
        self._thread.check()
        async with AsyncExitStack() as held:
            if memory_heavy:
                await held.enter_async_context(self._memory.admit())
            if kind is ExecutorKind.PROCESS:
                return await self._processes.run(fn, payload, timeout=timeout, on_begin=on_begin)
            if kind is ExecutorKind.INLINE:
                on_begin()
                async with within(timeout):
                    result = fn(payload)
                    return await result if inspect.isawaitable(result) else result
            pool = self._threads if kind is ExecutorKind.THREAD else self._thread_of_model(fn)
            return await pool.run(fn, payload, timeout=timeout, on_begin=on_begin)

    def has_memory_beside(self, others: int) -> bool:
        """Whether there is memory for one more heavy task beside so many; from any thread."""
        return self._memory.fits_beside(others)

    @property
    def trouble(self) -> str | None:
        """A code for what is wrong with them, for the health report; None when nothing is."""
        if self._processes.is_crashing:
            return "processes_crash"
        return "threads_hung" if any(pool.hung for pool in self._pools()) else None

    def load(self) -> Load:
        """What is busy, and what hangs."""
        pools = self._pools()
        return Load(
            threads=sum(pool.size for pool in pools),
            threads_busy=sum(pool.busy for pool in pools),
            threads_hung=tuple(work for pool in pools for work in pool.hung),
            processes=self._processes.size,
            processes_busy=self._processes.busy,
            processes_replaced=self._processes.replaced,
            memory_heavy=self._memory.running,
        )

    def _make_pools(self) -> None:
        threads, processes, process_memory = self._sizes
        self._threads = ThreadPool(threads, "mynah-thread")
        self._processes = ProcessPool(processes, memory_limit=process_memory)
        self._models: dict[int, tuple[object, ThreadPool]] = {}

    def _pools(self) -> list[ThreadPool]:
        return [self._threads, *(pool for _, pool in self._models.values())]

    def _thread_of_model(self, fn: Callable[[Any], Any]) -> ThreadPool:
        """The one thread of the object whose method this is, or of the function itself."""
        model = getattr(fn, "__self__", fn)
        if id(model) not in self._models:
            if len(self._models) >= MOST_MODELS:
                raise ValueError(f"more than {MOST_MODELS} models: hand over methods of objects that live on")
            self._models[id(model)] = (model, ThreadPool(1, f"mynah-model-{type(model).__name__}"))
        return self._models[id(model)][1]
