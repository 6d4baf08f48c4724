"""What can go wrong while code runs, besides what the code itself raises.

ExecutorError            the work was not done; `retryable` says whether another attempt may do it
├── DeadlineExceeded     it took longer than it may (also a TimeoutError)
├── ProcessDied          its worker process crashed or was killed by the system
├── RemoteFailure        it raised, in a worker process
├── NotPortable          the function or its data cannot travel to a process (also a TypeError)
├── NoPlace              nothing can take it at the moment
│   ├── AllThreadsHung   every thread that could run it is in a call that does not return (also a NoThread)
│   └── NotEnoughMemory  it would not fit beside what already runs
└── ExecutorsClosed      the executors are not open
"""

import signal
from collections.abc import Collection, Iterable

from mynah_resilience import NoThread
from mynah_tasks.errors import TaskError
from mynah_tasks.failures import encodable


class ExecutorError(TaskError):
    """The work was not done."""

    code = "executor"


class DeadlineExceeded(ExecutorError, TimeoutError):
    """The work took longer than its deadline allows."""

    code = "deadline_exceeded"


class ProcessDied(ExecutorError):
    """The worker process ended in the middle of its task."""

    code = "process_died"

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"the worker process {_end(exit_code)}")
        self.exit_code = exit_code


class RemoteFailure(ExecutorError):
    """The work raised in its worker process; `remote_traceback` is the text of where."""

    code = "remote_failure"

    def __init__(
        self,
        type_name: str,
        message: str,
        remote_traceback: str,
        *,
        retryable: bool,
        kinds: Collection[str],  # see `kinds_of`
    ) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.remote_traceback = remote_traceback
        self.retryable = retryable
        self._kinds = kinds

    def is_any_of(self, kinds: Iterable[type[BaseException]]) -> bool:
        """Whether what was raised is an instance of one of them, as far as names can tell."""
        return any(_name_of(kind) in self._kinds for kind in kinds)


class NotPortable(ExecutorError, TypeError):
    """A function without an import name, or data that is neither JSON nor arrays nor bytes."""

    code = "not_portable"
    retryable = False


class NoPlace(ExecutorError):
    """Nothing can take the work at the moment; it has not begun."""

    code = "no_place"


class AllThreadsHung(NoPlace, NoThread):
    """No thread is left that could take the work."""

    code = "all_threads_hung"


class NotEnoughMemory(NoPlace):
    """The machine, or this process's share of it, has too little memory free."""

    code = "not_enough_memory"


class ExecutorsClosed(ExecutorError):
    """Work was handed to executors that are not open."""

    code = "executors_closed"


def kinds_of(error: BaseException) -> list[str]:
    """The names of its class and of those that this inherits from."""
    return [_name_of(kind) for kind in type(error).__mro__]


def _name_of(kind: type) -> str:
    return encodable(f"{kind.__module__}.{kind.__qualname__}")


def _end(exit_code: int) -> str:
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    why = ", most likely for lack of memory" if -exit_code == signal.SIGKILL else ""
    return f"was killed by signal {-exit_code} ({signal.strsignal(-exit_code)}){why}"
