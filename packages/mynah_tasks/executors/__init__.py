"""Where code runs that must not hold up the event loop, nor be able to."""

from mynah_tasks.executors.errors import (
    AllThreadsHung,
    DeadlineExceeded,
    ExecutorError,
    ExecutorsClosed,
    NoPlace,
    NotEnoughMemory,
    NotPortable,
    ProcessDied,
    RemoteFailure,
)
from mynah_tasks.executors.executors import Executors, Load
from mynah_tasks.executors.kinds import ExecutorKind
from mynah_tasks.executors.memory import MemoryGate, free_memory

__all__ = [
    "AllThreadsHung",
    "DeadlineExceeded",
    "ExecutorError",
    "ExecutorKind",
    "Executors",
    "ExecutorsClosed",
    "Load",
    "MemoryGate",
    "NoPlace",
    "NotEnoughMemory",
    "NotPortable",
    "ProcessDied",
    "RemoteFailure",
    "free_memory",
]
