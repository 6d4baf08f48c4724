"""When to try again, and how long to wait before."""

import asyncio
import functools
import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

Sleep = Callable[[float], Awaitable[object]]
Chance = Callable[[], float]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Tries again up to `max_retries` times after an error of the kinds `on`, waiting longer each time.

    The waits are `base`, then twice as long each time: 2, 4, 8 … seconds, give or take the share `jitter`, never more
    than `cap`.
    """

    max_retries: int = 3
    base: float = 2.0
    cap: float = 16.0
    jitter: float = 0.1
    on: tuple[type[Exception], ...] = (Exception,)

    def __post_init__(self) -> None:
        if self.max_retries < 0 or self.base < 0 or self.cap < 0 or not 0 <= self.jitter <= 1:
            raise ValueError("max_retries, base and cap are not negative, jitter is a share of 0 to 1")

    def allows(self, retry: int, error: BaseException) -> bool:
        """Whether the `retry`-th retry (from 1) may follow on `error`."""
        return retry <= self.max_retries and isinstance(error, self.on)

    def delay(self, retry: int, chance: float = 0.5) -> float:
        """Seconds before the `retry`-th retry (from 1); `chance`, 0 to 1, places it within the jitter."""
        # Sixty doublings outlast any cap, and a thousand would be no float any more.
        nominal = min(self.cap, math.ldexp(self.base, min(retry - 1, 60)))
        return min(self.cap, nominal * (1 + self.jitter * (2 * chance - 1)))

    async def run(
        self, function: Callable[[], Awaitable[T]], *, sleep: Sleep = asyncio.sleep, chance: Chance = random.random
    ) -> T:
        """The result of the first try that succeeds; the last try's error, with a note, when none does."""
        retry = 0
        while True:
            try:
                return await function()
            except self.on as error:
                retry += 1
                if not self.allows(retry, error):
                    error.add_note(f"tried {retry} times")
                    raise
                pause = self.delay(retry, chance())
            await sleep(pause)

    def __call__(self, function: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
        """Decorate a coroutine function: `@RetryPolicy(on=(OSError,))`."""

        @functools.wraps(function)
        async def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.run(lambda: function(*args, **kwargs))

        return retrying
