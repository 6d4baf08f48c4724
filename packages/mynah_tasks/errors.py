"""What can go wrong with a task.

TaskError                  expected; `code` is stable and for machines, the message is for people
├── QueueFull              as many tasks wait as may wait: refused at the edge
├── EngineStopped          the engine takes no work, or stopped while somebody waited
├── UnknownTask            no task has this id (also a KeyError)
├── UnknownTaskType        no processor is registered for the type
├── DuplicateTask          the id, or the idempotency key with other content, is taken
├── UnknownDependency      a task depends on an id that is not there
├── DependencyCycle        tasks depend on each other in a circle
├── NotStorable            a durable store cannot keep the payload or the result
├── StaleClaim             an outcome came from an attempt that no longer holds the task
├── StoreUnavailable       the store could not write, or a server's answer was lost
│   └── StoreLocked        another process has the store open
├── Unretryable            a processor says that another attempt makes no sense
└── IllegalTransition      a step between states that no task may take
"""


class TaskError(Exception):
    """Something expected went wrong; another attempt may help unless `retryable` is false."""

    code = "task"
    retryable = True


class QueueFull(TaskError):
    """The queue holds as many tasks as it may."""

    code = "queue_full"


class EngineStopped(TaskError):
    """The engine is not running."""

    code = "engine_stopped"


class UnknownTask(TaskError, KeyError):
    """No task has this id: it never existed, or retention has forgotten it."""

    code = "unknown_task"
    __str__ = Exception.__str__


class UnknownTaskType(TaskError):
    """No processor is registered for the task's type."""

    code = "unknown_task_type"
    retryable = False


class DuplicateTask(TaskError):
    """The id or the idempotency key belongs to another task."""

    code = "duplicate_task"


class UnknownDependency(TaskError):
    """A dependency is not there."""

    code = "unknown_dependency"


class DependencyCycle(TaskError):
    """Tasks wait for each other."""

    code = "dependency_cycle"


class NotStorable(TaskError):
    """A payload or result that is not JSON, for a store that must outlive the process."""

    code = "not_storable"
    retryable = False


class StaleClaim(TaskError):
    """The claim was revoked, or the task was handed to a later attempt."""

    code = "stale_claim"


class StoreUnavailable(TaskError):
    """The store's disk or server failed.

    What was asked for has not happened; on a server, it may have when the connection broke in the middle. With the same
    ids it can be asked for again.
    """

    code = "store_unavailable"


class StoreLocked(StoreUnavailable):
    """The store has one writer and another process is it."""

    code = "store_locked"


class Unretryable(TaskError):
    """Raised by a processor whose failure would repeat itself."""

    code = "unretryable"
    retryable = False


class IllegalTransition(TaskError):
    """The state machine refused a step: a bug, not a condition."""

    code = "illegal_transition"
    retryable = False
