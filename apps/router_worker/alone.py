"""One router holds the conversation: two would answer everything twice."""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

from mynah_bus import Bus, EngineFailed
from mynah_bus.background import background
from mynah_contracts import Health, Role


class Alone:
    """Entered when no other router is up, else EngineFailed; raises it in the block when an elder one comes up.

    Of two that begin together, the younger leaves.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._elder = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._bus.ready()
            self._refuse_second()
            self._bus.fleet.on_change.add(self._fleet_changed)
            stack.callback(self._bus.fleet.on_change.discard, self._fleet_changed)
            tasks = await stack.enter_async_context(background())
            stack.callback(tasks.create_task(self._leave_to_elder(), name="only one").cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    def _fleet_changed(self, health: Health) -> None:
        ours = (self._bus.started_at, self._bus.instance)
        if self._is_rival(health) and (health.started_at, health.instance) < ours:
            self._elder.set()

    async def _leave_to_elder(self) -> None:
        while True:
            await self._elder.wait()
            self._elder.clear()
            self._refuse_second()

    def _refuse_second(self) -> None:
        for health in self._bus.fleet.workers():
            if self._is_rival(health):
                raise EngineFailed(
                    f"{health.service.value}/{health.instance} holds the conversation already (process {health.pid} "
                    f"on {health.host}): stop it first, as two would answer everything twice."
                )

    def _is_rival(self, health: Health) -> bool:
        is_up = health.status in {"up", "degraded"}
        return is_up and health.service is Role.ROUTER and health.instance != self._bus.instance
