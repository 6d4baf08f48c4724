"""What the committed mosquitto.conf promises."""

import json
import statistics
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from mynah_contracts import Role, Say, Transcribe, Vocabulary
from mynah_contracts.generate.rights import dynamic_security
from mynah_contracts.tests.brokers import CONF, Broker, Probe, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

PASSWORDS = {role: f"password of {role.value}" for role in Role}
RECORDING = f"mynah/{Transcribe.contract.topic}"
SENTENCE = f"mynah/{Say.contract.topic}"
VOCABULARY = f"mynah/{Vocabulary.contract.topic}"
FOUR_MINUTES = bytes(4 * 60 * 16_000 * 2)


def running(folder: Path, conf: str | None = None) -> AbstractAsyncContextManager[Broker]:
    rights = dynamic_security("mynah", PASSWORDS)
    return mosquitto(folder, rights, {role.value: PASSWORDS[role] for role in Role}, conf)


async def hop_s(folder: Path, conf: str) -> float:
    """Median time of a message to somebody who is sent an acknowledgement and a stream at once."""
    times = []
    async with running(folder, conf) as broker, broker.probe(Role.GUEST) as guest:
        await guest.subscribe("mynah/#", qos=0)
        for count in range(1, 22):
            began = time.perf_counter()
            await guest.published(SENTENCE)
            await guest.arrived(SENTENCE, count)
            times.append(time.perf_counter() - began)
    return statistics.median(times)


@pytest.mark.req("PERF-04")
async def test_a_listener_to_several_streams_does_not_wait_for_delayed_acknowledgements(tmp_path: Path) -> None:
    committed = CONF.read_text()
    without = committed.replace("set_tcp_nodelay true", "set_tcp_nodelay false")
    assert without != committed
    assert await hop_s(tmp_path, without) > 10 * await hop_s(tmp_path, committed)


async def test_a_recording_of_four_minutes_passes_and_a_larger_packet_ends_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as broker, broker.probe(Role.STT) as listener:
        await listener.subscribe(f"$share/stt/{RECORDING}")
        async with broker.probe(Role.SATELLITE) as speaker:
            await speaker.published(RECORDING, FOUR_MINUTES)
            await listener.arrived(RECORDING)
            speaker.publish(RECORDING, FOUR_MINUTES + bytes(1_000_000))
            await speaker.closed()
        assert [len(delivery.payload) for delivery in listener.received] == [len(FOUR_MINUTES)]


@pytest.mark.req("W21")
async def test_a_flood_of_retained_recordings_does_not_take_the_machine_along(tmp_path: Path) -> None:
    limit = 64 << 20
    conf = CONF.read_text().replace("memory_limit 536870912", f"memory_limit {limit}")
    async with running(tmp_path, conf) as broker:
        for number in range(12):
            async with broker.probe(Role.GUEST) as flood:
                flood.publish(f"{RECORDING}/x{number}", FOUR_MINUTES, retain=True)
                await flood.settled_or_closed()
        assert broker.rss() < limit + (32 << 20)
        async with broker.probe(Role.SKILL) as speaker, broker.probe(Role.TTS) as listener:
            await listener.subscribe(f"{SENTENCE}/x1")
            await speaker.published(f"{SENTENCE}/x1")
            await listener.arrived(f"{SENTENCE}/x1")


async def test_retained_state_survives_the_broker(tmp_path: Path) -> None:
    async with running(tmp_path) as broker, broker.probe(Role.ROUTER) as router:
        router.publish(VOCABULARY, "every sentence", retain=True)
        await router.settled()
    async with running(tmp_path) as broker, broker.probe(Role.STT) as late:
        await late.subscribe(VOCABULARY)
        await late.arrived(VOCABULARY)
        assert [delivery.payload for delivery in late.received] == [b"every sentence"]


async def test_the_committed_rights_open_to_nobody(tmp_path: Path) -> None:
    rights = json.loads((CONF.parent / "rights.json").read_text())
    async with mosquitto(tmp_path, rights, {}) as broker:
        for role in Role:
            with pytest.raises(ConnectionRefusedError):
                async with Probe.connected(broker.port, role.value, ""):
                    pass
