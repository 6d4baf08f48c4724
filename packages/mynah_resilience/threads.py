"""Threads that nobody has to wait for."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

LINGER = 10.0
"""Seconds after which a thread without work ends."""


class _Call(NamedTuple):
    future: Future[Any]
    function: Callable[[], Any]

    def __call__(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.function()
        except StopIteration as error:
            self.future.set_exception(RuntimeError(f"raised {error!r}"))  # a coroutine would take it for its own end
        except Exception as error:  # noqa: BLE001  # whatever it is, it is the caller's
            self.future.set_exception(error)
        except BaseException as error:  # noqa: BLE001  # a call may fail, but not end its thread or the process
            self.future.set_exception(RuntimeError(f"raised {error!r}"))
        else:
            self.future.set_result(result)


class DaemonThreads(Executor):
    """Makes calls in at most `size` threads, in order; may be used from any thread and any event loop.

    A call that hangs costs its thread, but holds up neither the end of its event loop nor that of the process.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size = size
        self._name = name
        self._news = threading.Condition()
        self._calls: deque[_Call] = deque()
        self._threads = 0
        self._idle = 0
        self._is_closed = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call made; raises RuntimeError after `shutdown`."""
        call = _Call(Future(), partial(fn, *args, **kwargs))
        with self._news:
            if self._is_closed:
                raise RuntimeError(f"the threads {self._name!r} are closed")
            self._calls.append(call)
            self._news.notify()
            if self._idle < len(self._calls) and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()
        return call.future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002  # as Executor has it
        """Take no more calls; never waits, whatever is asked."""
        with self._news:
            self._is_closed = True
            while cancel_futures and self._calls:
                self._calls.popleft().future.cancel()
            self._news.notify_all()

    def _work(self) -> None:
        while call := self._next():
            call()
            del call  # what was worked on must not live until the next call

    def _next(self) -> _Call | None:
        """The next call, or None when this thread is to end."""
        with self._news:
            self._idle += 1
            self._news.wait_for(lambda: self._calls or self._is_closed, LINGER)
            self._idle -= 1
            if self._calls:
                return self._calls.popleft()
            self._threads -= 1
            return None
