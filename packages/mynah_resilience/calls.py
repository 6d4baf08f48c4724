"""Calls a function of either colour without blocking the event loop."""

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from typing import TypeVar, cast

from mynah_resilience.threads import DaemonThreads

T = TypeVar("T")

THREADS = DaemonThreads(32, "guarded call")
"""For all event loops: a call that hangs must hold up the end of none."""


async def invoke(function: Callable[[], Awaitable[T]] | Callable[[], T], *, executor: Executor = THREADS) -> T:
    """Await a coroutine function; run a plain one in a thread of `executor`, because it may block."""
    if inspect.iscoroutinefunction(function):
        result: Awaitable[T] | T = function()
    else:
        # What only looks plain (a lambda around a coroutine function) has made its coroutine there and is awaited here.
        plain = cast("Callable[[], Awaitable[T] | T]", function)
        context = contextvars.copy_context()
        result = await asyncio.get_running_loop().run_in_executor(executor, context.run, plain)
    return await result if inspect.isawaitable(result) else result
