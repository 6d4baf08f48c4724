"""The mosquitto of our own: it starts, says why it does not, and survives its own damage."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from mynah_bus import Bus, BusSettings
from mynah_bus.mosquitto import BrokerFailed, Mosquitto, program
from mynah_bus.tests.processes import free_port
from mynah_contracts import Role

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(program() is None, reason="mosquitto is not installed"),
]


async def test_it_answers_when_entered_and_is_gone_when_left(tmp_path: Path):
    port = free_port()
    async with Mosquitto(tmp_path, port=port) as broker:
        assert broker.url == f"mqtt://127.0.0.1:{port}"
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


async def test_what_it_keeps_is_for_its_owner_only(tmp_path: Path):
    async with Mosquitto(tmp_path, port=free_port()):
        pass
    folder = tmp_path / "mosquitto"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "rights.json").stat().st_mode) == 0o600


async def test_a_port_that_is_taken_is_said_and_what_the_broker_kept_stays(tmp_path: Path):
    port = free_port()
    async with (
        Mosquitto(tmp_path / "second", port=free_port()) as broker,
        Bus(Role.STT, BusSettings(broker_url=broker.url, home=tmp_path / "second")) as bus,
    ):
        await bus.ready(10)
    kept = tmp_path / "second" / "mosquitto" / "mosquitto.db"
    before = kept.read_bytes()
    async with Mosquitto(tmp_path / "first", port=port):
        with pytest.raises(BrokerFailed, match=f"^Another program listens at 127.0.0.1:{port} already.$"):
            await Mosquitto(tmp_path / "second", port=port).start()
    assert kept.read_bytes() == before
    assert not list(kept.parent.glob("*damaged*"))


CHATTY = """#!/bin/sh
head -c 200000 /dev/zero | tr '\\0' x >&2
echo >&2
echo '1: mosquitto version 0 running' >&2
exec sleep 600
"""


async def test_a_line_longer_than_any_that_is_meant_for_people_does_not_end_the_listening(tmp_path: Path, monkeypatch):
    executable = tmp_path / "mosquitto"
    executable.write_text(CHATTY, encoding="utf-8")
    executable.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    async with Mosquitto(tmp_path / "home", port=free_port()) as broker:
        assert broker.pid


async def test_with_a_damaged_database_it_starts_empty_and_keeps_the_old_file(tmp_path: Path):
    home = tmp_path / "damaged"
    (home / "mosquitto").mkdir(parents=True)
    (home / "mosquitto" / "mosquitto.db").write_bytes(b"garbage")
    async with (
        Mosquitto(home, port=free_port()) as broker,
        Bus(Role.STT, BusSettings(broker_url=broker.url, home=home)) as bus,
    ):
        await bus.ready(10)
    (kept,) = (home / "mosquitto").glob("mosquitto.db.damaged-*")
    assert kept.read_bytes() == b"garbage"
