"""What worker processes and threads are made to do in tests; found by import name from the other process."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any


def process_id(_: Any) -> int:
    return os.getpid()


def thread_name(_: Any) -> str:
    return threading.current_thread().name


async def thread_name_of_a_coroutine(_: Any) -> str:
    return threading.current_thread().name


def whereabouts(_: Any) -> list[Any]:
    return [os.getpid(), threading.current_thread().name]


def echo(payload: Any) -> Any:
    return payload


def describe(array: Any) -> list[Any]:
    return [str(array.dtype), list(array.shape), float(array.sum())]


def negate_in_place(array: Any) -> Any:
    array *= -1
    return array


def raise_error(message: str) -> None:
    raise LookupError(message)


def raise_a_subclass(_: Any) -> None:
    class Lost(KeyError, BlockingIOError):
        """Neither of the two names that a policy is likely to have."""

    raise Lost


def raise_a_lone_surrogate(_: Any) -> None:
    raise LookupError("\ud800")


def raise_an_error_that_cannot_be_shown(_: Any) -> None:
    class Unspeakable(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    raise Unspeakable


def make_a_lock(_: Any) -> threading.Lock:
    return threading.Lock()


def leave(code: int) -> None:
    sys.exit(code)


def vanish(code: int) -> None:
    os._exit(code)


def crash(_: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def allocate(size: int) -> int:
    return len(bytes(range(256)) * (size // 256))


def hang_without_gil(_: Any) -> None:
    ctypes.CDLL(None).sleep(1000)


def hang_with_gil(_: Any) -> None:
    ctypes.PyDLL(None).sleep(1000)


def say_and_hang_without_gil(diary: str) -> None:
    write_down(diary, os.getpid())
    hang_without_gil(None)


def say_and_hang_with_gil(diary: str) -> None:
    write_down(diary, os.getpid())
    hang_with_gil(None)


def start_a_program_and_hang(diary: str) -> None:
    program = subprocess.Popen(["sleep", "1000"])
    write_down(diary, program.pid)
    hang_without_gil(None)


def write_down(diary: str, number: int) -> None:
    """Write a number into a FIFO, which a test waits to read."""
    Path(diary).write_text(str(number))


def read_from(fifo: str) -> str:
    return Path(fifo).read_text()
