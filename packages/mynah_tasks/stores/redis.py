"""A store on a Redis or Valkey server, for several processes and machines."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from mynah_tasks.clock import Clock
from mynah_tasks.errors import UnknownTask
from mynah_tasks.states import TaskStatus
from mynah_tasks.stores import Claim, Counts, Listener, Outcome, Rules
from mynah_tasks.stores.coding import encode
from mynah_tasks.stores.redis_coding import pack
from mynah_tasks.stores.redis_link import RedisLink
from mynah_tasks.task import DeadLetter, Entry, Task, TaskResult, new_id

PAGE = 200
"""Tasks that are looked at in one go when a list is made."""
MOST = 2**53
"""No list is longer."""


class RedisStore:
    """Keeps tasks under `namespace` of the Redis server at `url`; any number of processes and machines share them.

    What this process runs is leased to it for `lease` seconds, and the lease is renewed while its event loop turns;
    when it dies or hangs, others take over at the end of the lease. The server remembers the last `keep` tasks that
    ended, and as many dead letters. Moments are told by the server's clock, which may be set meanwhile, or without
    `server_clock` by the engine's.

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
        self._link = RedisLink(url, namespace=namespace, lease=lease, keep=keep, server_clock=server_clock)
        self._is_halted = False

    @property
    def counts(self) -> Counts:
        """How many tasks there are, those of all processes."""
        return self._link.counts

    @property
    def trouble(self) -> str | None:
        """What is wrong with the server at the moment."""
        return self._link.server.trouble

    # Life

    def attach(self, listener: Listener, rules: Rules, clock: Clock) -> None:
        """Say who listens, which rules hold, and whose timers to use; before opening."""
        self._link.attach(listener, rules, clock)

    async def __aenter__(self) -> Self:
        await self._link.open()
        self._is_halted = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.halt()
        await self._link.close()

    # In

    async def add(self, tasks: Sequence[Task]) -> list[str]:
        """Accept all or none; see `Store.add`."""
        return (await self._link.step("add", *pack(tasks))).result

    async def room(self, count: int) -> None:
        """Wait until so many tasks more may wait."""
        await self._link.desk.room(count)

    # Attempts

    async def claim(self, limit: int, heavy: Callable[[], bool]) -> list[Claim]:
        """Wait for ready tasks; see `Store.claim`."""
        while not self._is_halted:
            self._link.news.clear()
            asked = self._link.post(self._link.ask(limit, fits=heavy()))
            try:
                claims = await asyncio.shield(asked)
            except asyncio.CancelledError:
                self._link.post(self._give_back(asked))
                raise
            if self._is_halted:
                await self._give_back(asked)
            elif claims:
                return claims
            else:
                await self._link.news.wait()
        return []

    def halt(self) -> None:
        """Hand out no more claims."""
        self._is_halted = True
        self._link.news.set()

    async def finish(self, claim: Claim, outcome: Outcome) -> None:
        """Record the one outcome; see `Store.finish`."""
        result = encode(outcome.result, f"the result of task {claim.task.id}")
        end = (outcome.status, outcome.execution_time, outcome.error or "", result)
        await self._link.settle(claim, "settle", *end)

    async def retry(self, claim: Claim, error: str, delay: float) -> None:
        """Let the task wait for its next attempt; see `Store.retry`."""
        await self._link.settle(claim, "retry", delay, error)

    async def release(self, claim: Claim, delay: float = 0.0) -> None:
        """Give the task back, its attempt uncounted; see `Store.release`."""
        await self._link.settle(claim, "release", delay)

    async def cancel(self, task_id: str, reason: str) -> list[str]:
        """End a task and all that depends on it; see `Store.cancel`."""
        return (await self._link.step("cancel", task_id, reason)).result

    async def _give_back(self, asked: asyncio.Task[list[Claim]]) -> None:
        for claim in await asked:
            await self.release(claim)

    # Questions

    async def get(self, task_id: str) -> Entry | None:
        """The task and how far it is."""
        return next(iter(await self._link.read([task_id])), None)

    async def wait(self, task_id: str) -> TaskResult:
        """Wait for the task's outcome; see `Store.wait`."""
        return await self._link.desk.outcome(task_id, self.get)

    async def entries(
        self, *, status: TaskStatus | None = None, tag: str | None = None, limit: int = 100, before: str | None = None
    ) -> list[Entry]:
        """Tasks, the newest first; see `Store.entries`."""
        found: list[Entry] = []
        shelf, end = self._link.prefix + (status or "all"), "+inf"
        if before is not None:
            place = await self._link.do("ZSCORE", f"{self._link.prefix}all", before)
            end = f"({float(place or 0)}"
        while len(found) < limit:
            page = await self._link.do("ZREVRANGEBYSCORE", shelf, end, "-inf", "WITHSCORES", "LIMIT", 0, PAGE)
            if not page:
                break
            end = f"({page[-1].decode()}"
            for task, state in await self._link.read(page[::2]):
                if status in {None, state.status} and (tag is None or tag in task.tags):
                    found.append(Entry(task, state))
        return found[: max(0, limit)]

    # Dead letters

    async def dead_letters(self, *, limit: int = 100, before: str | None = None) -> list[DeadLetter]:
        """Dead letters; see `Store.dead_letters`."""
        shelf, end = f"{self._link.prefix}dead", "+inf"
        if before is not None:
            place = await self._link.do("HGET", f"{self._link.prefix}t:{before}", "ended")
            end = f"({int(place or 0)}"
        page = await self._link.do("ZREVRANGEBYSCORE", shelf, end, "-inf", "LIMIT", 0, max(0, min(limit, MOST)))
        return [DeadLetter.of(entry) for entry in await self._link.read(page)]

    async def replay(self, task_id: str) -> str:
        """Accept the work of a dead letter as a new task; see `Store.replay`."""
        entry = await self.get(task_id)
        if entry is None:
            raise UnknownTask(f"there is no dead letter {task_id}")
        anew = replace(entry.task, id=new_id(), depends_on=(), expires_at=None, idempotency_key=None)
        await self._link.step("replay", task_id, *pack([anew]))
        return anew.id

    async def clear_dead_letters(self) -> int:
        """Remove all dead letters."""
        return int((await self._link.step("clear")).result[0])
