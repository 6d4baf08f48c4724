"""A store on a Redis or Valkey server, for several processes and machines."""

import asyncio
import itertools
import logging
import math
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson

from mynah_tasks.book import Changes
from mynah_tasks.clock import Clock
from mynah_tasks.errors import EngineStopped, StaleClaim, StoreUnavailable, TaskError, UnknownTask
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Listener, Outcome, Rules
from mynah_tasks.stores.coding import encode
from mynah_tasks.stores.desk import Desk
from mynah_tasks.stores.redis_coding import (
    FIELDS,
    Answer,
    pack,
    read_answer,
    read_claim,
    read_entry,
    read_revoked,
    read_wait,
)
from mynah_tasks.stores.redis_server import Argument, News, RedisServer
from mynah_tasks.task import DeadLetter, Entry, Task, TaskResult, new_id

log = logging.getLogger(__name__)

T = TypeVar("T")

NEVER = 1e9
"""Seconds of waiting that no task reaches."""
BEATS = 3
"""How often a lease is renewed while it lasts."""
SOON = 1.0
"""Seconds after which a server that did not answer is asked again."""
LAST_WORDS = 5.0
"""Seconds that calls under way have to end when the store is closed."""
PAGE = 200
"""Tasks that are looked at in one go when a list is made."""


class RedisStore:
    """Keeps tasks under `namespace` of the Redis server at `url`; any number of processes and machines share them.

    What this process runs is leased to it for `lease` seconds, and the lease is renewed while its event loop turns;
    when it dies or hangs, others take over at the end of the lease. The server remembers the last `keep` tasks that
    ended, and as many dead letters. Moments are told by the server's clock, or without `server_clock` by the engine's.

    A call that raises StoreUnavailable may have happened after all when the connection broke in the middle of it; with
    the same task ids or idempotency keys it can be made again.
    """

    durable = True
    name = "Redis"

    def __init__(
        self,
        url: str = "redis://localhost:6379",
        *,
        namespace: str = "mynah",
        lease: float = 15.0,
        keep: int = 100_000,
        server_clock: bool = True,
    ) -> None:
        self._prefix = f"{{{namespace}:tasks}}:"
        self._server = RedisServer(url, self._prefix)
        self._lease = lease
        self._keep = keep
        self._server_clock = server_clock
        self._owner = uuid.uuid4().hex
        self._numbers = itertools.count()
        self._is_open = False
        self._is_halted = False
        self._wake = asyncio.Event()
        self._calls: set[asyncio.Task[Any]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._claims: dict[str, int] = {}
        """The tokens of what this store object has been given, by task."""
        self._settling: set[str] = set()
        """Those of them whose end is under way."""
        self._claiming = 0
        self._beat_at = 0.0
        self.counts = Counts()

    @property
    def trouble(self) -> str | None:
        """What is wrong with the server at the moment."""
        return self._server.trouble

    # Life

    def attach(self, listener: Listener, rules: Rules, clock: Clock) -> None:
        """Say who listens, which rules hold, and whose timers to use; before opening."""
        self._rules = rules
        self._clock = clock
        self._desk = Desk(listener, clock, self._is_due)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        self._is_open, self._is_halted = True, False
        self._desk.open()
        try:
            await self._renew()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        # Heard before anything is done: a connection under way when the store is closed again would be left open.
        hears = asyncio.Event()
        self._listening = self._post(self._listen(hears))
        await hears.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.halt()
        self._is_open = False
        while self._listening and not self._listening.done():
            # More than once: Python 3.11 can lose a cancellation while the library sends (`asyncio.wait_for`).
            self._listening.cancel()
            await asyncio.wait([self._listening], timeout=0.1)
        if self._calls:
            await asyncio.wait(self._calls, timeout=LAST_WORDS)
        self._desk.close()
        await self._server.__aexit__(kind, error, trace)

    # In

    async def add(self, tasks: Sequence[Task]) -> list[str]:
        """Accept all or none; see `Store.add`."""
        return (await self._step("add", *pack(tasks))).result

    async def room(self, count: int) -> None:
        """Wait until so many tasks more may wait."""
        await self._desk.room(count)

    # Attempts

    async def claim(self, limit: int, heavy: Callable[[], bool]) -> list[Claim]:
        """Wait for ready tasks; see `Store.claim`."""
        while not self._is_halted:
            self._wake.clear()
            asked = self._post(self._ask(limit, heavy()))
            try:
                claims = await asyncio.shield(asked)
            except asyncio.CancelledError:
                self._post(self._give_back(asked))
                raise
            if claims and not self._is_halted:
                return claims
            if claims:
                self._post(self._give_back(asked))
            else:
                await self._wake.wait()
        return []

    def halt(self) -> None:
        """Hand out no more claims."""
        self._is_halted = True
        self._wake.set()

    async def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Record the one outcome; see `Store.finish`."""
        result = encode(outcome.result, f"the result of task {claim.task.id}")
        await self._settle(claim, "settle", outcome.status, outcome.execution_time, outcome.error or "", result)

    async def retry(self, claim: Claim, error: str, delay: float) -> None:
        """Let the task wait for its next attempt; see `Store.retry`."""
        await self._settle(claim, "retry", delay, error)

    async def release(self, claim: Claim) -> None:
        """Give the task back, its attempt uncounted; see `Store.release`."""
        await self._settle(claim, "release")

    async def cancel(self, task_id: str, reason: str) -> list[str]:
        """End a task and all that depends on it; see `Store.cancel`."""
        return (await self._step("cancel", task_id, reason)).result

    # Questions

    async def get(self, task_id: str) -> Entry | None:
        """The task and how far it is."""
        return next(iter(await self._read([task_id])), None)

    async def wait(self, task_id: str) -> TaskResult:
        """Wait for the task's outcome; see `Store.wait`."""
        # Expected first: what ends between the question and its answer is not missed.
        outcome = self._desk.expect(task_id)
        try:
            entry = await self.get(task_id)
            if entry is None:
                raise UnknownTask(f"there is no task {task_id}")
            return entry.state if entry.state.status.is_terminal else await outcome
        finally:
            self._desk.forget(task_id, outcome)

    async def entries(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first; see `Store.entries`."""
        found: list[Entry] = []
        shelf = self._prefix + (status or "all")
        end = "+inf"
        if before is not None:
            place = await self._do("ZSCORE", f"{self._prefix}all", before)
            end = f"({float(place or 0)}"
        while len(found) < limit:
            page = await self._do("ZREVRANGEBYSCORE", shelf, end, "-inf", "WITHSCORES", "LIMIT", 0, PAGE)
            if not page:
                break
            end = f"({page[-1].decode()}"
            for task, state in await self._read(page[::2]):
                if status in {None, state.status} and (tag is None or tag in task.tags):
                    found.append(Entry(task, state))
        return found[:limit]

    # Dead letters

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Dead letters, the newest first."""
        shelf, start = f"{self._prefix}dead", 0
        if before is not None:
            place = await self._do("ZREVRANK", shelf, before)
            start = 0 if place is None else place + 1
        page = await self._do("ZREVRANGE", shelf, start, start + limit - 1)
        return [DeadLetter.of(entry) for entry in await self._read(page)]

    async def replay(self, task_id: str) -> str:
        """Accept the work of a dead letter as a new task; see `Store.replay`."""
        entry = await self.get(task_id)
        if entry is None:
            raise UnknownTask(f"there is no dead letter {task_id}")
        anew = replace(entry.task, id=new_id(), depends_on=(), expires_at=None, idempotency_key=None)
        await self._step("replay", task_id, *pack([anew]))
        return anew.id

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters."""
        return int((await self._step("clear")).result[0])

    # Calls

    async def _step(self, name: str, *arguments: Argument) -> Answer:
        """Take a step and tell what came of it, even if the caller gives up meanwhile."""
        return await asyncio.shield(self._post(self._take(name, *arguments)))

    async def _take(self, name: str, *arguments: Argument) -> Answer:
        if not self._is_open:
            raise EngineStopped("the store is not open")
        ageing = NEVER if self._rules.ageing is None else self._rules.ageing
        rules = (self._rules.capacity, ageing, self._lease, self._keep)
        asked_at, now = self._clock.monotonic(), "" if self._server_clock else repr(self._clock.wall())
        number = f"{self._owner}:{next(self._numbers)}"
        answer = read_answer(await self._server.step(self._owner, now, number, name, *rules, *arguments))
        mine = [(task_id, token) for task_id, token, owner in answer.revoked if owner == self._owner]
        self._tell(answer.counts, asked_at, answer.wait, Changes((), answer.ended, mine))
        if answer.has_changed:
            self._wake.set()
        return answer

    def _tell(self, counts: Counts, asked_at: float, wait: float | None, changes: Changes) -> None:
        self.counts = counts
        for task_id, _ in changes.revoked:
            self._claims.pop(task_id, None)
        next_due = min(self._beat_at, math.inf if wait is None else asked_at + wait)
        self._desk.tell(changes, self._rules.capacity - counts.pending, None if math.isinf(next_due) else next_due)

    async def _ask(self, limit: int, fits: bool) -> list[Claim]:  # noqa: FBT001  # whether a heavy task does
        self._claiming += 1
        try:
            answer = await self._take("claim", limit, int(fits))
        finally:
            self._claiming -= 1
        claims = [read_claim(values) for values in answer.result]
        self._claims.update((claim.task.id, claim.token) for claim in claims)
        return claims

    async def _give_back(self, asked: asyncio.Task[list[Claim]]) -> None:
        for claim in await asked:
            await self.release(claim)

    async def _settle(self, claim: Claim, name: str, *arguments: Argument) -> None:
        await asyncio.shield(self._post(self._end(claim, name, *arguments)))

    async def _end(self, claim: Claim, name: str, *arguments: Argument) -> None:
        task_id = claim.task.id
        self._settling.add(task_id)
        try:
            await self._take(name, task_id, claim.token, *arguments)
        except StaleClaim:
            self._drop(task_id, claim.token)
            raise
        else:
            self._drop(task_id, claim.token)
        finally:
            self._settling.discard(task_id)

    def _drop(self, task_id: str, token: int) -> None:
        if self._claims.get(task_id) == token:
            del self._claims[task_id]

    async def _read(self, task_ids: Iterable[str | bytes]) -> list[Entry]:
        """Those of the tasks that there are."""
        names = [task_id if isinstance(task_id, bytes) else task_id.encode(errors="replace") for task_id in task_ids]
        keys = (f"{self._prefix}t:".encode() + name for name in names)
        found = await asyncio.gather(*(self._do("HMGET", key, *FIELDS) for key in keys))
        return [read_entry(values) for values in found if values[0] is not None]

    async def _do(self, *command: Argument) -> Any:
        if not self._is_open:
            raise EngineStopped("the store is not open")
        return await asyncio.shield(self._post(self._server.do(*command)))

    def _post(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._calls.add(task)
        task.add_done_callback(self._posted)
        return task

    def _posted(self, task: asyncio.Task[Any]) -> None:
        self._calls.discard(task)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, TaskError):
            log.error("the task store failed", exc_info=error)

    # What comes by itself

    def _is_due(self) -> None:
        self._post(self._beat())

    async def _beat(self) -> None:
        try:
            await self._renew()
        except StoreUnavailable as error:
            log.warning("leases were not renewed, tried again in %g s: %s", SOON, error)
            self._desk.arm(self._clock.monotonic() + SOON)

    async def _renew(self) -> None:
        """Renew the leases, do what is due, and find out what has been lost or was never heard of."""
        asked_at = self._clock.monotonic()
        self._beat_at = asked_at + self._lease / BEATS
        is_claiming = self._claiming
        answer = await self._take("tick")
        held = {task_id: int(token) for task_id, token in answer.result}
        lost = [
            (task_id, token)
            for task_id, token in self._claims.items()
            if held.get(task_id) != token and task_id not in self._settling
        ]
        self._tell(answer.counts, asked_at, answer.wait, Changes((), (), lost))
        if not (is_claiming or self._claiming):
            for task_id in held.keys() - self._claims.keys() - self._settling:
                # The answer that gave it to us was lost.
                await self._take("release", task_id, held[task_id])
        self._wake.set()

    async def _listen(self, hears: asyncio.Event) -> None:
        async for news in self._server.news():
            hears.set()
            if news is None:
                await self._look_again()
            elif news[b"owner"].decode() != self._owner:
                await self._hear(news)

    async def _hear(self, news: News) -> None:
        """Take notice of what another process did."""
        counts = Counts(int(news[b"pending"]), int(news[b"running"]), int(news[b"dead"]))
        wait = read_wait(news[b"now"].decode(), news[b"due"].decode())
        revoked = read_revoked(orjson.loads(news.get(b"revoked", b"[]")))
        mine = [(task_id, token) for task_id, token, owner in revoked if owner == self._owner]
        self._tell(counts, self._clock.monotonic(), wait, Changes((), (), mine))
        if news[b"ready"] == b"1":
            self._wake.set()
        await self._resolve(set(orjson.loads(news.get(b"ended", b"[]"))).intersection(self._desk.awaited))

    async def _look_again(self) -> None:
        """Find out what has happened while nothing was heard."""
        self._wake.set()
        await self._resolve(self._desk.awaited)

    async def _resolve(self, task_ids: Iterable[str]) -> None:
        """Give the outcomes to those who wait for them, once the server tells."""
        while missing := list(task_ids):
            try:
                found = await self._read(missing)
            except StoreUnavailable as error:
                log.warning("outcomes cannot be read, asked again: %s", error)
                continue
            for _, state in found:
                if state.status.is_terminal:
                    self._desk.resolve(state)
            return
