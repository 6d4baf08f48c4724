"""Threads that nobody has to wait for."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from mynah_resilience.errors import NoThread

log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LINGER = 10.0
"""Seconds after which a thread without work ends."""


class DaemonThreads(Executor):
    """Makes calls in at most `size` threads, in order and in the context of whoever submits them, from any thread.

    A call that hangs costs its thread, but holds up neither the end of its event loop nor that of the process. It is
    known by being cancelled while it is made, which an asyncio future around it passes on; its thread is used again
    when it returns.
    """

    def __init__(self, size: int, name: str) -> None:
        if size < 1:
            raise ValueError(f"{name} needs at least one thread, not {size}")
        self.size = size
        self.name = name
        self._news = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._at_work: set[_Call] = set()
        self._hung: dict[_Call, str] = {}
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    @property
    def hung(self) -> tuple[str, ...]:
        """What threads are in whose callers have gone."""
        with self._news:
            return tuple(self._hung.values())

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call made; raises NoThread when all threads hang, and RuntimeError after `shutdown`.

        A call that waits while the last thread comes to hang fails with NoThread, too.
        """
        call = _Call(partial(copy_context().run, fn, *args, **kwargs), _name_of(fn), self._leave_alone)
        with self._news:
            if self._is_closed:
                raise RuntimeError(f"the threads {self.name!r} are closed")
            if len(self._hung) == self.size:
                raise NoThread(self.name, self.hung)
            self._calls.append(call)
            self._news.notify()
            if self._idle < len(self._calls) and self._threads < self.size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self.name}-{self._threads}", daemon=True).start()
        return call

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002  # as Executor has it
        """Take no more calls until `reopen`; never waits, whatever is asked."""
        with self._news:
            self._is_closed = True
            while cancel_futures and self._calls:
                self._calls.popleft().cancel()
            self._news.notify_all()

    def reopen(self) -> None:
        """Take calls again."""
        with self._news:
            self._is_closed = False

    def _work(self) -> None:
        while call := self._next():
            result, error = _outcome(call.function)
            self._returned(call)
            if error is None:
                call.set_result(result)
            else:
                call.set_exception(error)
            del call, result, error  # what was worked on must not live until the next call

    def _next(self) -> "_Call | None":
        """The next call, or None when this thread is to end."""
        with self._news:
            self._idle += 1
            self._news.wait_for(lambda: self._calls or self._is_closed, LINGER)
            self._idle -= 1
            while self._calls:
                call = self._calls.popleft()
                if call.set_running_or_notify_cancel():
                    self._at_work.add(call)
                    return call
            self._threads -= 1
            return None

    def _returned(self, call: "_Call") -> None:
        with self._news:
            self._at_work.remove(call)
            was_hung = self._hung.pop(call, None)
        if was_hung:
            log.warning("a thread of %s came back from %s", self.name, was_hung)

    def _leave_alone(self, call: "_Call") -> None:
        """Count a call as hung that is being made; when no thread is left, refuse those that wait."""
        with self._news:
            if call not in self._at_work or call in self._hung:
                return
            self._hung[call] = call.name
            hung = self.hung
            refused: deque[_Call] = deque()
            if len(hung) == self.size:
                refused, self._calls = self._calls, refused
        log.warning("a thread of %s is left alone with %s (%d of %d hung)", self.name, call.name, len(hung), self.size)
        for waiting in refused:
            if waiting.set_running_or_notify_cancel():
                waiting.set_exception(NoThread(self.name, hung))


class _Call(Future[Any]):
    """A call that is to be made; cancelled when it has begun, it is left alone."""

    def __init__(self, function: Callable[[], Any], name: str, leave_alone: "Callable[[_Call], None]") -> None:
        super().__init__()
        self.function = function
        self.name = name
        self._leave_alone = leave_alone

    def cancel(self) -> bool:
        """Whether it will not be made."""
        is_cancelled = super().cancel()
        self._leave_alone(self)
        return is_cancelled


def _outcome(function: Callable[[], T]) -> tuple[T | None, BaseException | None]:
    """What it returned, or what to raise for it."""
    try:
        return function(), None
    except BaseException as error:  # noqa: BLE001  # whatever it is, it is the caller's
        # One would end the coroutine that gets it, the other kinds the event loop: a call only fails.
        is_harmless = isinstance(error, Exception) and not isinstance(error, StopIteration)
        return None, error if is_harmless else RuntimeError(f"raised {error!r}")


def _name_of(function: object) -> str:
    """Its name, without the data that it may carry."""
    while isinstance(function, partial):
        function = function.func
    return getattr(function, "__qualname__", type(function).__qualname__)
