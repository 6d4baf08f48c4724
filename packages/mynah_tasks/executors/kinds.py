"""Where a task may run."""

from enum import StrEnum


class ExecutorKind(StrEnum):
    """The place that runs a task's code."""

    INLINE = "inline"
    """On the event loop: code that only awaits."""
    THREAD = "thread"
    """In a pool of threads: blocking I/O and native code that releases the GIL."""
    PROCESS = "process"
    """In a worker process that can be killed: Python that computes, and code that may hang or crash."""
    MODEL_THREAD = "model_thread"
    """In the one thread of a model that is not thread-safe."""

    @classmethod
    def for_hints(cls, *, cpu_intensive: bool, io_bound: bool) -> "ExecutorKind":
        """The place that a task's hints ask for; computing outweighs waiting."""
        if cpu_intensive:
            return cls.PROCESS
        return cls.THREAD if io_bound else cls.INLINE
