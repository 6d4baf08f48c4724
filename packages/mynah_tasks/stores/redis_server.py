"""A Redis or Valkey server that keeps what it is given, and how to talk with it through its failures."""

import asyncio
import functools
import hashlib
import logging
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as AnswerTimeout

from mynah_resilience.retry import RetryPolicy
from mynah_tasks.errors import StoreUnavailable
from mynah_tasks.records import ALONE_FROM, SOLITUDE

log = logging.getLogger(__name__)

T = TypeVar("T")
Client = Any
"""redis-py's types are those of both colours and all protocols at once; what comes is checked where it is read."""
News = dict[bytes, bytes]
Argument = str | bytes | float

BATCH = 500
"""Commands that travel together at most."""
NUMBERS = {"BATCH": BATCH, "ALONE_FROM": ALONE_FROM, "SOLITUDE": SOLITUDE}
CODE = re.sub("|".join(NUMBERS), lambda name: str(NUMBERS[name[0]]), Path(__file__).with_name("redis.lua").read_text())
LIBRARY = f"mynah_tasks_{hashlib.sha256(CODE.encode()).hexdigest()[:12]}"
"""Named after its content, so that workers of different versions can share a server."""

VERSION = 7
"""Of Redis, since when it has functions; Valkey says 7 too."""
ANSWER = 5.0
"""Seconds for which an answer is waited for."""
SILENCE = 3.0
"""Seconds without news after which the server is asked whether it is still there."""
FAILURES = (RedisError, OSError, RuntimeError)
"""What a connection raises that fails; the last one is uvloop's word for a transport that is closed."""
AGAIN = RetryPolicy(max_retries=3, base=0.1, cap=0.8, on=(ConnectionLost, AnswerTimeout))
LATER = RetryPolicy(base=0.1, cap=2.0)


class RedisServer:
    """A server of version 7 or later that writes all to disk (AOF) and evicts nothing; any other one is refused."""

    def __init__(self, url: str, prefix: str) -> None:
        self._url = url
        self._prefix = prefix
        self.trouble: str | None = None
        """Why there was no answer the last time; None when there was one."""
        self._commands: deque[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = deque()
        self._under_way: list[tuple[tuple[Argument, ...], asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        # The library's own retries would repeat what we repeat, and not say so.
        self._client: Client = Redis.from_url(
            self._url, protocol=2, socket_timeout=ANSWER, socket_connect_timeout=ANSWER, retry=Retry(NoBackoff(), 0)
        )
        place = self._client.connection_pool.connection_kwargs
        # Without the user and the password that the URL may have.
        self._address = str(place.get("path") or f"{place.get('host')}:{place.get('port')}")
        try:
            self._judge(await self._ask(lambda client: client.info()))
            await self._ask(_load)
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sending:
            await stop(self._sending)
        await self._client.aclose()

    async def step(self, *arguments: Argument) -> bytes:
        """Have the library take a step, once however often it has to be asked; see redis.lua."""
        answer: bytes = await self.do("FCALL", LIBRARY, 1, self._prefix, *arguments)
        return answer

    async def do(self, *command: Argument) -> Any:
        """The answer to a command that does no harm when it is given twice; raises StoreUnavailable.

        Commands are done in the order in which they are given; those that come while others are under way travel
        together.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._commands.append((command, answer))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="task store commands")
            self._sending.add_done_callback(self._give_up)
        return await answer

    async def _send(self) -> None:
        while self._commands:
            batch = [self._commands.popleft() for _ in range(min(len(self._commands), BATCH))]
            self._under_way = batch
            try:
                replies = await self._ask(functools.partial(_do, [command for command, _ in batch]))
            except StoreUnavailable as error:
                replies = [error] * len(batch)
            for (_, answer), reply in zip(batch, replies, strict=True):
                if answer.cancelled():
                    continue
                if isinstance(reply, RedisError):
                    answer.set_exception(StoreUnavailable(self._complain(reply)))
                elif isinstance(reply, StoreUnavailable):
                    answer.set_exception(reply)
                else:
                    answer.set_result(reply)
        self._sending = None

    def _give_up(self, sending: asyncio.Task[None]) -> None:
        """Let nobody wait for answers that nobody fetches any more."""
        if sending.cancelled():
            reason = f"the connection to redis at {self._address} was closed"
        elif error := sending.exception():
            log.error("commands to redis at %s failed", self._address, exc_info=error)
            reason = self._complain(error)
        else:
            return
        for _, answer in (*self._under_way, *self._commands):
            if not answer.done():
                answer.set_exception(StoreUnavailable(reason))
        self._commands.clear()
        self._sending = None

    async def _ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        try:
            answer = await AGAIN.run(lambda: question(self._client))
        except FAILURES as error:
            raise StoreUnavailable(self._complain(error)) from error
        self.trouble = None
        return answer

    async def news(self) -> AsyncIterator[News | None]:
        """What happens, for ever; None when something may have been missed."""
        failures = 0
        while True:
            try:
                async for entry in self._follow():
                    failures = 0
                    yield entry
            except FAILURES as error:
                failures += 1
                log.warning("no news from the task store, asked again soon: %s", self._complain(error))
                await asyncio.sleep(LATER.delay(failures))

    async def _follow(self) -> AsyncIterator[News | None]:
        stream = f"{self._prefix}events"
        last = await self._client.xrevrange(stream, count=1)
        position, entry = last[0] if last else (b"0-0", {b"number": b"0"})
        number = int(entry[b"number"])
        yield None
        while True:
            found = await self._client.xread({stream: position}, block=int(SILENCE * 1000))
            for position, entry in found[0][1] if found else ():  # noqa: B007  # goes on from the last one
                if int(entry[b"number"]) != number + 1:
                    yield None
                number = int(entry[b"number"])
                yield entry

    def _judge(self, facts: dict[str, Any]) -> None:
        if int(str(facts["redis_version"]).split(".")[0]) < VERSION:
            raise StoreUnavailable(
                f"redis at {self._address} is version {facts['redis_version']}, but {VERSION} is needed"
            )
        if not facts["aof_enabled"]:
            raise StoreUnavailable(
                f"redis at {self._address} would lose accepted tasks when it dies (appendonly no): "
                "start it with `--appendonly yes`"
            )
        if facts["maxmemory"] and facts["maxmemory_policy"] != "noeviction":
            raise StoreUnavailable(
                f"redis at {self._address} would throw tasks away when it is full ({facts['maxmemory_policy']}): "
                "start it with `--maxmemory-policy noeviction`"
            )

    def _complain(self, error: BaseException) -> str:
        self.trouble = f"redis at {self._address}: {error}"
        return self.trouble


async def stop(task: asyncio.Task[None]) -> None:
    """Cancel a task that talks with the server, and see it end."""
    while not task.done():
        # More than once: Python 3.11 can lose a cancellation while the library sends (`asyncio.wait_for`).
        task.cancel()
        await asyncio.wait([task], timeout=0.1)


async def _do(commands: Sequence[tuple[Argument, ...]], client: Client) -> list[Any]:
    """The answers to all of them, an error among them where there was one; raises when they should be given again."""
    replies = await _travel(commands, client)
    complaints = [str(reply) for reply in replies if isinstance(reply, ResponseError)]
    if any(complaint.startswith("BUSY") for complaint in complaints):
        raise AnswerTimeout("the server is busy with a long step")
    if any("Function not found" in complaint for complaint in complaints):
        # Somebody has flushed the functions, or another server has taken over.
        await _load(client)
        replies = await _travel(commands, client)
    return replies


async def _travel(commands: Sequence[tuple[Argument, ...]], client: Client) -> list[Any]:
    async with client.pipeline(transaction=False) as pipeline:
        for command in commands:
            # Bytes, as far as there are any: one text that is none must not spoil the others' journey.
            pipeline.execute_command(*(a.encode(errors="replace") if isinstance(a, str) else a for a in command))
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
        return replies


async def _load(client: Client) -> None:
    try:
        await client.function_load(CODE.replace("LIBRARY", LIBRARY))
    except ResponseError as error:
        if "already exists" not in str(error):
            raise
