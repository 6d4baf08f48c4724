"""What a store object and its Redis server tell each other: steps, leases, news."""

import asyncio
import itertools
import logging
import math
import uuid
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import orjson

from mynah_tasks.book import Changes
from mynah_tasks.clock import AGAIN_IN, Clock
from mynah_tasks.errors import EngineStopped, StaleClaim, StoreUnavailable, TaskError
from mynah_tasks.lanes import NEVER
from mynah_tasks.stores import Claim, Counts, Listener, Rules
from mynah_tasks.stores.desk import Desk
from mynah_tasks.stores.redis_coding import FIELDS, Answer, read_answer, read_entry, read_revoked, read_wait
from mynah_tasks.stores.redis_server import Argument, News, RedisServer, stop
from mynah_tasks.task import Entry

log = logging.getLogger(__name__)

T = TypeVar("T")

BEATS = 3
"""How often a lease is renewed while it lasts."""
LAST_WORDS = 2.0
"""Seconds that calls under way have to end when the store is closed."""


class RedisLink:
    """Takes steps on the server and tells the desk what comes of them; keeps what has been claimed by leases."""

    def __init__(self, url: str, *, namespace: str, lease: float, keep: int, server_clock: bool) -> None:
        self.prefix = f"{{{namespace}:tasks}}:"
        self.server = RedisServer(url, self.prefix)
        self.owner = uuid.uuid4().hex
        self.counts = Counts()
        self.news = asyncio.Event()
        """Set when it makes sense to ask for claims again."""
        self._lease = lease
        self._keep = keep
        self._server_clock = server_clock
        self._numbers = itertools.count()
        self._is_open = False
        self._calls: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._claims: dict[str, int] = {}
        """The tokens of what this object has been given, by task."""
        self._settling: set[str] = set()
        """Those of them whose end is under way."""
        self._claiming = 0
        self._beat_at = 0.0

    def attach(self, listener: Listener, rules: Rules, clock: Clock) -> None:
        """Say who listens, which rules hold, and whose timers to use; before opening."""
        self._rules = rules
        self._clock = clock
        self.desk = Desk(listener, clock, self._is_due)

    # Life

    async def open(self) -> None:
        """Connect; raises StoreUnavailable."""
        await self.server.__aenter__()
        self._is_open = True
        self.desk.open()
        try:
            await self._renew()
        except BaseException:
            await self.close()
            raise
        # Heard before anything is done: a connection under way when the store is closed again would be left open.
        hears = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(hears), name="task store news")
        self._listening.add_done_callback(self._posted)
        await hears.wait()

    async def close(self) -> None:
        """Let calls under way come to their end, and disconnect."""
        try:
            async with asyncio.timeout(LAST_WORDS):
                while self._calls:
                    await asyncio.wait(self._calls)
        except TimeoutError:
            log.warning("%d calls to the task store did not end", len(self._calls))
        self._is_open = False
        if self._listening:
            await stop(self._listening)
        self.desk.close()
        await self.server.__aexit__(None, None, None)
        if self._calls:
            await asyncio.wait(self._calls)

    # Calls

    async def step(self, name: str, *arguments: Argument) -> Answer:
        """Take a step and tell what came of it, even if the caller gives up meanwhile; see redis.lua."""
        return await asyncio.shield(self.post(self._take(name, *arguments)))

    async def do(self, *command: Argument) -> Any:
        """Ask something of the server that changes nothing."""
        self._check()
        return await asyncio.shield(self.post(self.server.do(*command)))

    async def read(self, task_ids: Iterable[str | bytes]) -> list[Entry]:
        """Those of the tasks that there are."""
        names = [task_id if isinstance(task_id, bytes) else task_id.encode(errors="replace") for task_id in task_ids]
        keys = (f"{self.prefix}t:".encode() + name for name in names)
        found = await asyncio.gather(*(self.do("HMGET", key, *FIELDS) for key in keys))
        return [read_entry(values) for values in found if values[0] is not None]

    async def ask(self, limit: int, *, fits: bool) -> list[Claim]:
        """Claim what can be claimed now, a heavy task if it `fits`."""
        self._claiming += 1
        try:
            answer = await self._take("claim", limit, int(fits))
        finally:
            self._claiming -= 1
        self._claims.update((claim.task.id, claim.token) for claim in answer.claims)
        return answer.claims

    async def settle(self, claim: Claim, name: str, *arguments: Argument) -> None:
        """Take the step that ends a claim."""
        await asyncio.shield(self.post(self._end(claim, name, *arguments)))

    def post(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Have something done that is waited for when the link is closed."""
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._posted)
        return task

    def _posted(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, TaskError):
            log.error("the task store failed", exc_info=error)

    def _check(self) -> None:
        if not self._is_open:
            raise EngineStopped("the store is not open")

    async def _take(self, name: str, *arguments: Argument) -> Answer:
        self._check()
        ageing = NEVER if self._rules.ageing is None else self._rules.ageing
        rules = (self._rules.capacity, ageing, self._lease, self._keep)
        asked_at, now = self._clock.monotonic(), "" if self._server_clock else repr(self._clock.wall())
        number = next(self._numbers)
        answer = read_answer(await self.server.step(self.owner, now, number, name, *rules, *arguments))
        mine = [(task_id, token) for task_id, token, owner in answer.revoked if owner == self.owner]
        self._tell(answer.counts, asked_at, answer.wait, Changes((), answer.ended, mine))
        if answer.has_changed:
            self.news.set()
        return answer

    async def _end(self, claim: Claim, name: str, *arguments: Argument) -> None:
        self._settling.add(claim.task.id)
        try:
            await self._take(name, claim.task.id, claim.token, *arguments)
        except StaleClaim:
            self._drop(claim)
            raise
        else:
            self._drop(claim)
        finally:
            self._settling.discard(claim.task.id)

    def _drop(self, claim: Claim) -> None:
        if self._claims.get(claim.task.id) == claim.token:
            del self._claims[claim.task.id]

    def _tell(self, counts: Counts, asked_at: float, wait: float | None, changes: Changes) -> None:
        self.counts = counts
        for task_id, _ in changes.revoked:
            self._claims.pop(task_id, None)
        next_due = min(self._beat_at, math.inf if wait is None else asked_at + wait)
        self.desk.tell(changes, self._rules.capacity - counts.pending, None if math.isinf(next_due) else next_due)

    # What time brings

    def _is_due(self) -> None:
        self.post(self._beat())

    async def _beat(self) -> None:
        try:
            await self._renew()
        except StoreUnavailable as error:
            log.warning("leases were not renewed, tried again in %g s: %s", AGAIN_IN, error)
            self.desk.arm(self._clock.monotonic() + AGAIN_IN)

    async def _renew(self) -> None:
        """Renew the leases, do what is due, and find out what has been lost or was never heard of."""
        asked_at = self._clock.monotonic()
        self._beat_at = asked_at + self._lease / BEATS
        was_claiming = self._claiming
        answer = await self._take("tick")
        held = {task_id: int(token) for task_id, token in answer.result}
        lost = [
            (task_id, token)
            for task_id, token in self._claims.items()
            if held.get(task_id) != token and task_id not in self._settling
        ]
        self._tell(answer.counts, asked_at, answer.wait, Changes((), (), lost))
        if not (was_claiming or self._claiming):
            for task_id in held.keys() - self._claims.keys() - self._settling:
                # The answer that gave it to us was lost.
                await self._take("release", task_id, held[task_id])
        self.news.set()

    # What others do

    async def _listen(self, hears: asyncio.Event) -> None:
        async for news in self.server.news():
            hears.set()
            if news is None:
                self.news.set()
                await self._resolve(self.desk.awaited)
            elif news[b"owner"].decode() != self.owner:
                await self._hear(news)

    async def _hear(self, news: News) -> None:
        counts = Counts(int(news[b"pending"]), int(news[b"running"]), int(news[b"dead"]))
        wait = read_wait(news[b"now"].decode(), news[b"due"].decode())
        revoked = read_revoked(orjson.loads(news.get(b"revoked", b"[]")))
        mine = [(task_id, token) for task_id, token, owner in revoked if owner == self.owner]
        self._tell(counts, self._clock.monotonic(), wait, Changes((), (), mine))
        if news[b"ready"] == b"1":
            self.news.set()
        if b"ended" in news:
            await self._resolve(set(orjson.loads(news[b"ended"])).intersection(self.desk.awaited))

    async def _resolve(self, task_ids: Iterable[str]) -> None:
        """Give the outcomes to those who wait for them, once the server tells."""
        awaited = list(task_ids)
        while True:
            try:
                found = await self.read(awaited)
            except StoreUnavailable as error:
                log.warning("outcomes cannot be read, tried again in %g s: %s", AGAIN_IN, error)
                await asyncio.sleep(AGAIN_IN)
                continue
            for _, state in found:
                if state.status.is_terminal:
                    self.desk.resolve(state)
            return
