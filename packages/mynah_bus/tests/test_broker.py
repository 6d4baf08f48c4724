"""Workers on a real mosquitto: killed, frozen, cut off, fed with what is too large."""

import asyncio
import signal
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from mynah_bus import Bus, BusSettings, RequestFailed, Worker, conversation, handles
from mynah_bus.errors import TooLarge
from mynah_bus.link import NO_SUBSCRIBER, Filter, Hooks
from mynah_bus.mosquitto import Mosquitto, passwords
from mynah_bus.mqtt import RECEIVE_MAXIMUM, Address
from mynah_bus.mqtt_link import OUTBOX, TRIES, MqttLink
from mynah_bus.packet import Packet
from mynah_bus.tests.memory_process import Echo
from mynah_bus.tests.processes import PUBACK, SUBSCRIBE, Tap, WorkerProcess
from mynah_bus.tests.puppets import acknowledged
from mynah_contracts import (
    Health,
    MemoryQuery,
    MemoryResults,
    PlaybackControl,
    Role,
    Said,
    Say,
    Speech,
    Transcribe,
    Transcript,
)

pytestmark = pytest.mark.broker

BACK_WITHIN_S = 5.0


async def told(bus: Bus, fits: Callable[[Health], bool], timeout: float = 10.0) -> Health:
    """Wait until a worker's health fits; TimeoutError when none does."""
    news: asyncio.Queue[Health] = asyncio.Queue()
    bus.fleet.on_change.add(news.put_nowait)
    try:
        async with asyncio.timeout(timeout):
            for health in bus.fleet.workers():
                if fits(health):
                    return health
            while not fits(health := await news.get()):
                pass
            return health
    finally:
        bus.fleet.on_change.discard(news.put_nowait)


async def retained(settings: BusSettings, instance: str) -> Health:
    """What somebody who joins now is told about a worker."""
    async with Bus(Role.GUEST, settings) as bus:
        await bus.ready(10)
        return next(health for health in bus.fleet.workers() if health.instance == instance)


async def answer(bus: Bus, text: str, timeout: float = 10.0) -> str:
    return (await bus.request(MemoryQuery(text=text), MemoryResults, timeout=timeout)).results[0].text


@pytest.mark.req("MQ-20")
async def test_after_each_of_five_restarts_of_the_broker_the_worker_answers(mosquitto: Mosquitto, settings):
    async with (
        Worker(Bus(Role.MEMORY, settings("one")), Echo()) as worker,
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        await bus.until_up(Role.MEMORY, timeout=10)
        for restart in range(5):
            if restart % 2:
                await mosquitto.stop()
            else:
                mosquitto.kill()
                await mosquitto.ended()
            await mosquitto.start()
            assert await answer(bus, str(restart)) == str(restart)
            await worker.bus.ready(10)
            assert (await retained(settings("witness"), "one")).status == "up"
        assert worker.bus.link.connections == 6


@pytest.mark.req("F27")
async def test_two_hundred_clients_two_of_one_name_are_back_soon_after_a_restart_of_the_broker(mosquitto, settings):
    names = ["twin", "twin", *(f"client-{n}" for n in range(198))]
    async with AsyncExitStack() as stack:
        buses = [await stack.enter_async_context(Bus(Role.SKILL, settings(name))) for name in names]
        await asyncio.gather(*(bus.ready(30) for bus in buses))
        back = [asyncio.Event() for _ in buses]
        for bus, event in zip(buses, back, strict=True):
            bus.on_reconnect.add(event.set)
        mosquitto.kill()
        await mosquitto.ended()
        await mosquitto.start()
        async with asyncio.timeout(BACK_WITHIN_S):
            await asyncio.gather(*(event.wait() for event in back))
        assert {bus.link.connections for bus in buses} == {2}


async def test_who_only_listens_acknowledges_all_that_it_hears(mosquitto, tmp_path):
    home = tmp_path / "home"
    async with (
        Tap(mosquitto.url) as tap,
        Line(tap.url, Role.SKILL, home, [Filter("mynah/stt/final", 1)]) as ear,
        Line(mosquitto.url, Role.STT, home) as mouth,
    ):
        for _ in range(3):
            for _ in range(RECEIVE_MAXIMUM // 2 + 1):
                mouth.link.publish(Packet("mynah/stt/final", b"", 1))
            await ear.hears(RECEIVE_MAXIMUM // 2 + 1)
        await tap.until_sent(PUBACK, 3 * (RECEIVE_MAXIMUM // 2 + 1))


@pytest.mark.req("F27")
async def test_two_processes_under_one_name_do_not_drive_each_other_out(mosquitto, settings):
    async with (
        Worker(Bus(Role.MEMORY, settings("one")), Echo()) as first,
        Worker(Bus(Role.MEMORY, settings("one")), Echo()) as second,
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        await bus.until_up(Role.MEMORY, timeout=10)
        for n in range(20):
            assert await answer(bus, str(n)) == str(n)
        assert (first.bus.link.connections, second.bus.link.connections) == (1, 1)


@pytest.mark.req("MQ-20")
async def test_a_worker_that_is_killed_is_down_for_everybody_who_joins_later(mosquitto, settings, tmp_path):
    async with (
        WorkerProcess(mosquitto.url, tmp_path / "home", "one") as process,
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        up = await told(bus, lambda health: health.status == "up")
        assert up.pid == process.pid
        assert up.engine == "echo"
        assert up.handles == {"memory.query": 10}
        process.send(signal.SIGKILL)
        await told(bus, lambda health: health.status == "down")
        health = await retained(settings("witness"), "one")
        assert (health.status, health.reason) == ("down", "The process is gone, or cut off.")


@pytest.mark.req("SHD-02", "MQ-03")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_that_is_asked_to_end_says_down_and_exits_with_0(mosquitto, settings, tmp_path, number):
    async with (
        WorkerProcess(mosquitto.url, tmp_path / "home", "one") as process,
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        await bus.until_up(Role.MEMORY, timeout=15)
        assert await answer(bus, "still here") == "still here"
        process.send(number)
        code, errors = await process.ended()
        assert code == 0, errors
        health = await retained(settings("witness"), "one")
        assert (health.status, health.reason) == ("down", "Stopped.")


async def test_what_a_worker_keeps_is_for_its_owner_only(mosquitto, settings, tmp_path):
    async with (
        WorkerProcess(mosquitto.url, tmp_path / "home", "one"),
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        await bus.until_up(Role.MEMORY, timeout=15)
    assert stat.S_IMODE((tmp_path / "home" / "kept").stat().st_mode) == 0o600


async def test_a_wrong_password_is_one_sentence_and_exit_code_1(mosquitto, tmp_path):
    async with WorkerProcess(mosquitto.url, tmp_path / "home", "one", MYNAH_BROKER_PASSWORD="wrong") as process:
        code, errors = await process.ended()
    assert code == 1
    assert errors.splitlines() == ["The broker does not let us in: Not authorized."]


async def test_a_setting_that_does_not_fit_is_exit_code_1(mosquitto, tmp_path):
    async with WorkerProcess("http://nowhere", tmp_path / "home", "one") as process:
        code, errors = await process.ended()
    assert code == 1
    assert "Traceback" not in errors


@pytest.mark.req("MQ-08", "PERF-04")
async def test_fifty_requests_subscribe_to_nothing(mosquitto, settings):
    async with (
        Tap(mosquitto.url) as tap,
        Worker(Bus(Role.MEMORY, settings("one")), Echo()),
        Bus(Role.SKILL, settings("asker").model_copy(update={"broker_url": tap.url})) as bus,
    ):
        await bus.until_up(Role.MEMORY, timeout=10)
        before = tap.sent[SUBSCRIBE]
        for n in range(50):
            assert await answer(bus, str(n)) == str(n)
        assert before == 1
        assert tap.sent[SUBSCRIBE] == before


class Line:
    """A link of its own, through a tap that may be cut."""

    def __init__(self, url: str, role: Role, home: Path, filters: list[Filter] | None = None) -> None:
        host, _, port = url.removeprefix("mqtt://").partition(":")
        address = Address(host, int(port), False, role.value, passwords(home)[role])
        self.link = MqttLink(address, client_id=f"{role.value}-line", pause=self._pause)
        self.heard: asyncio.Queue[Packet] = asyncio.Queue()
        self.link.on_packet = self.heard.put_nowait
        self.connected, self.lost, self.may_try = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._filters = filters or []

    async def _pause(self, seconds: float) -> None:
        await self.may_try.wait()
        await asyncio.sleep(seconds)

    async def _on_connect(self) -> None:
        if self._filters:
            await self.link.subscribe(self._filters)
        self.connected.set()

    def _on_lost(self) -> None:
        self.connected.clear()
        self.lost.set()

    async def hears(self, count: int) -> list[Packet]:
        async with asyncio.timeout(10):
            return [await self.heard.get() for _ in range(count)]

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self.link.run(Hooks(self._on_connect, self._on_lost)))
        async with asyncio.timeout(10):
            await self.connected.wait()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


def final(text: str, qos: int = 1) -> Packet:
    return Packet("mynah/stt/final", text.encode(), qos=qos)


@pytest.mark.req("MQ-20")
async def test_what_is_said_while_the_broker_is_away_arrives_later_in_order(mosquitto, tmp_path):
    home = tmp_path / "home"
    async with (
        Tap(mosquitto.url) as tap,
        Line(mosquitto.url, Role.SKILL, home, [Filter("mynah/stt/final", 1)]) as ear,
        Line(tap.url, Role.STT, home) as mouth,
    ):
        tap.cut()
        await mouth.lost.wait()
        mouth.link.publish(final("worthless when late", qos=0))
        for n in range(6):
            mouth.link.publish(final(str(n)))
        mouth.may_try.set()
        assert [packet.payload.decode() for packet in await ear.hears(6)] == list("012345")
        assert mouth.link.dropped == 1


@pytest.mark.req("MQ-20", "F02")
async def test_what_is_said_while_the_broker_is_dead_waits_for_those_who_come_back_later(mosquitto, settings):
    may_try = asyncio.Event()

    async def pause(_: float) -> None:
        await may_try.wait()

    class Slow:
        """Hears what is said, and is the last to connect again."""

        def __init__(self) -> None:
            self.heard: asyncio.Queue[str] = asyncio.Queue()

        @handles
        async def hear(self, transcript: Transcript) -> None:
            self.heard.put_nowait(transcript.text)

    def late(role: Role, instance: str) -> MqttLink:
        username, password = settings(instance).credentials(role)
        address = replace(Address.parse(mosquitto.url), username=username, password=password)
        return MqttLink(address, client_id=f"{role.value}-{instance}", pause=pause)

    ear = Slow()
    async with (
        Worker(Bus(Role.ROUTER, settings("late"), link=late), ear),
        Worker(Bus(Role.STT, settings("early"))) as mouth,
    ):
        await mouth.bus.until_up(Role.ROUTER, timeout=10)
        back = asyncio.Event()
        mouth.bus.on_reconnect.add(back.set)
        mosquitto.kill()
        await mosquitto.ended()
        mouth.bus.publish(Transcript(text="first"))
        await mosquitto.start()
        async with asyncio.timeout(10):
            await back.wait()
            mouth.bus.publish(Transcript(text="second"))
            may_try.set()
            assert [await ear.heard.get(), await ear.heard.get()] == ["first", "second"]


async def test_what_waits_for_the_broker_is_bounded_and_the_oldest_is_given_up(mosquitto, tmp_path):
    home = tmp_path / "home"
    async with (
        Tap(mosquitto.url) as tap,
        Line(mosquitto.url, Role.SKILL, home, [Filter("mynah/stt/final", 1)]) as ear,
        Line(tap.url, Role.STT, home) as mouth,
    ):
        tap.cut()
        await mouth.lost.wait()
        mouth.link.publish(final("oldest"))
        for n in range(OUTBOX):
            mouth.link.publish(final(str(n)))
        mouth.may_try.set()
        assert [packet.payload.decode() for packet in await ear.hears(OUTBOX)] == [str(n) for n in range(OUTBOX)]
        assert mouth.link.dropped == 1


async def test_what_nobody_listens_to_is_acknowledged_with_that(mosquitto, tmp_path):
    async with Line(mosquitto.url, Role.STT, tmp_path / "home") as mouth:
        assert await acknowledged(mouth.link, final("hello")) == NO_SUBSCRIBER


async def test_what_a_role_may_not_hear_is_refused_by_name(mosquitto, tmp_path):
    async with Line(mosquitto.url, Role.STT, tmp_path / "home") as mouth:
        with pytest.raises(PermissionError, match="mynah/memory/query"):
            await mouth.link.subscribe([Filter("mynah/memory/query", 1)])


@pytest.mark.parametrize("turn", ["\x01", "\x7f", "\x85", "\uffff"])
async def test_whatever_a_guest_calls_a_turn_the_worker_stays_connected(mosquitto, settings, turn):
    class Voice:
        @handles
        async def say(self, say: Say) -> AsyncIterator[Speech | Said]:
            yield Speech(audio=b"", satellite=say.satellite)
            yield Said()

    async with (
        Worker(Bus(Role.TTS, settings("one")), Voice()) as worker,
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        await bus.until_up(Role.TTS, timeout=10)
        with conversation(turn=turn):
            assert [type(part) async for part in bus.stream(Say(text="?"))] == [Said]
        worker.bus.publish(Speech(audio=b"", satellite="x"))
        await worker.bus.link.drained(5)
        assert worker.bus.link.connections == 1


async def test_what_the_broker_hangs_up_over_each_time_is_given_up(mosquitto, tmp_path, caplog):
    home = tmp_path / "home"
    async with (
        Line(mosquitto.url, Role.SKILL, home, [Filter("mynah/stt/final", 1)]) as ear,
        Line(mosquitto.url, Role.STT, home) as mouth,
    ):
        mouth.may_try.set()
        mouth.link.publish(Packet("mynah/stt/final", b"", qos=1, properties=(("x", "\x01"),)))
        for _ in range(TRIES):
            await mouth.lost.wait()
            mouth.lost.clear()
        assert "was lost each time" in caplog.text
        mouth.link.publish(final("still here"))
        assert [packet.payload for packet in await ear.hears(1)] == [b"still here"]


async def test_requests_move_from_a_frozen_worker_to_the_other(mosquitto, settings, tmp_path):
    home = tmp_path / "home"
    async with (
        WorkerProcess(mosquitto.url, home, "one") as frozen,
        WorkerProcess(mosquitto.url, home, "two"),
        Bus(Role.SKILL, settings("asker")) as bus,
    ):
        for instance in ("one", "two"):
            await told(bus, lambda health, instance=instance: (health.instance, health.status) == (instance, "up"))
        frozen.send(signal.SIGSTOP)
        try:
            answers = await asyncio.gather(*(answer(bus, str(n)) for n in range(20)))
        finally:
            frozen.send(signal.SIGCONT)
        assert answers == [str(n) for n in range(20)]
        assert bus.pending == 0


MIB = 1 << 20


async def test_a_recording_of_almost_8_mib_arrives_whole(mosquitto, tmp_path):
    home = tmp_path / "home"
    recording = bytes(range(256)) * (8 * 4096 - 8)
    async with (
        Line(mosquitto.url, Role.STT, home, [Filter("$share/stt/mynah/stt/transcribe", 1)]) as ear,
        Line(mosquitto.url, Role.GUEST, home) as mouth,
    ):
        mouth.link.publish(Packet("mynah/stt/transcribe", recording, qos=1))
        (packet,) = await ear.hears(1)
        assert packet.payload == recording


async def test_more_than_8_mib_is_refused_and_what_follows_arrives(mosquitto, tmp_path):
    home = tmp_path / "home"
    async with (
        Line(mosquitto.url, Role.STT, home, [Filter("$share/stt/mynah/stt/transcribe", 1)]) as ear,
        Line(mosquitto.url, Role.GUEST, home) as mouth,
    ):
        with pytest.raises(TooLarge, match="larger than the 8388608 bytes that the broker takes"):
            mouth.link.publish(Packet("mynah/stt/transcribe", bytes(9 * MIB), qos=1))
        mouth.link.publish(Packet("mynah/stt/transcribe", b"small", qos=1))
        assert [packet.payload for packet in await ear.hears(1)] == [b"small"]
        assert mouth.link.connections == 1


@pytest.mark.parametrize("before", [0, 1_100], ids=["at once", "behind what waits"])
async def test_a_request_of_more_than_8_mib_says_so_instead_of_being_lost(mosquitto, settings, before):
    async with Bus(Role.GUEST, settings("asker")) as bus:
        await bus.ready(10)
        bus.publish(PlaybackControl(action="pause"))
        await bus.link.drained(5)
        for _ in range(before):  # more than the broker lets be under way
            bus.publish(PlaybackControl(action="pause"))
        with pytest.raises(RequestFailed, match="larger than the 8388608 bytes that the broker takes") as failure:
            await bus.request(Transcribe(audio=bytes(9 * MIB)))
        assert failure.value.code == "too_large"
