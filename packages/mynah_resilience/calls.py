"""Calls a function of either colour without blocking the event loop."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

from mynah_resilience.threads import DaemonThreads

T = TypeVar("T")

THREADS = DaemonThreads(32, "guarded call")
"""For all event loops: a call that hangs must hold up the end of none."""


async def invoke(function: Callable[[], Awaitable[T]] | Callable[[], T], *, executor: DaemonThreads = THREADS) -> T:
    """Await a coroutine function; run a plain one in a thread of `executor`, because it may block.

    Cancelled, a plain one goes on and counts as hung until it returns; raises NoThread when all threads do.
    """
    if inspect.iscoroutinefunction(function):
        result: Awaitable[T] | T = function()
    else:
        # What only looks plain (a lambda around a coroutine function) has made its coroutine there and is awaited here.
        plain = cast("Callable[[], Awaitable[T] | T]", function)
        result = await asyncio.get_running_loop().run_in_executor(executor, plain)
    return await result if inspect.isawaitable(result) else result
