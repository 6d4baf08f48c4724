"""Processes of the broker's home need no network to it; where there is no socket file, or a dead one, they use it."""

import socket
from pathlib import Path

import pytest

from mynah_bus import Bus, BusSettings
from mynah_bus.mosquitto import Mosquitto, program
from mynah_bus.nearby import broker_socket
from mynah_bus.tests.processes import free_port
from mynah_contracts import Role

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(program() is None, reason="mosquitto is not installed"),
]


async def joins(home: Path, port: int) -> bool:
    async with Bus(Role.STT, BusSettings(broker_url=f"mqtt://127.0.0.1:{port}", home=home)) as bus:
        await bus.ready(10)
        return bus.connected.is_set()


async def test_a_process_of_the_home_joins_where_no_port_is_open(tmp_path: Path):
    port, closed = free_port(), free_port()
    async with Mosquitto(tmp_path, port=port):
        broker_socket(tmp_path, closed).symlink_to(broker_socket(tmp_path, port))
        assert await joins(tmp_path, closed)


async def test_a_dead_socket_file_costs_nothing_but_the_look(tmp_path: Path):
    port = free_port()
    async with Mosquitto(tmp_path, port=port):
        near = broker_socket(tmp_path, port)
        near.unlink()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(near))
        assert await joins(tmp_path, port)


async def test_a_home_with_a_path_too_long_for_a_socket_file_has_the_port(tmp_path: Path):
    home, port = tmp_path / ("x" * 100), free_port()
    async with Mosquitto(home, port=port):
        assert not broker_socket(home, port).exists()
        assert await joins(home, port)


async def test_a_killed_broker_finds_its_own_socket_file_in_its_way(tmp_path: Path):
    port = free_port()
    broker = Mosquitto(tmp_path, port=port)
    await broker.start()
    broker.kill()
    await broker.ended()
    await broker.stop()
    assert broker_socket(tmp_path, port).is_socket()
    async with Mosquitto(tmp_path, port=port):
        assert await joins(tmp_path, port)


async def test_only_its_owner_reaches_it(tmp_path: Path):
    port = free_port()
    async with Mosquitto(tmp_path, port=port):
        assert broker_socket(tmp_path, port).parent.stat().st_mode & 0o077 == 0
