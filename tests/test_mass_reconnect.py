"""A broker that comes back to many clients at once, two of them with one name."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest

from mynah_bus import Bus, BusSettings
from mynah_bus.mosquitto import Mosquitto
from mynah_contracts import Health, Role

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

CLIENTS = 200
BACK_WITHIN_S = 5.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.req("F27")
async def test_two_hundred_clients_are_back_soon_after_the_broker_and_two_of_one_name_do_not_fight(tmp_path):
    async with Mosquitto(tmp_path, port=free_port()) as broker, AsyncExitStack() as stack:
        instances = ["twin", "twin", *(f"client-{number}" for number in range(CLIENTS - 2))]
        buses = [
            await stack.enter_async_context(
                Bus(Role.SKILL, BusSettings(home=tmp_path, broker_url=broker.url, instance=instance))
            )
            for instance in instances
        ]
        await asyncio.gather(*(bus.ready(30) for bus in buses))
        again = [asyncio.Event() for _ in buses]
        for bus, event in zip(buses, again, strict=True):
            bus.on_reconnect.add(event.set)

        broker.kill()
        await broker.ended()
        await broker.stop()
        await broker.start()
        async with asyncio.timeout(BACK_WITHIN_S):
            await asyncio.gather(*(event.wait() for event in again))

        async with buses[0].listening(Health) as one, buses[1].listening(Health) as other:
            for bus in buses[2:4]:
                bus.publish(Health(service=Role.SKILL, instance=bus.instance, status="up", started_at=1))
                assert (await anext(one)).message == (await anext(other)).message
        assert {bus.link.connections for bus in buses} == {2}
