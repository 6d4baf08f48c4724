"""Two recognisers: they share the load, one takes over what the other cannot do, and neither falls asleep."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import numpy as np
import pytest

from mynah.talk import turn
from mynah_audio.pcm import Samples, to_bytes
from mynah_audio.recording import load
from mynah_bus import Bus
from mynah_bus.fleet import Member
from mynah_bus.wire import Packet, decode
from mynah_contracts import Answer, Ask, Health, Role, Transcribe, Transcript, TurnEvent

pytestmark = [pytest.mark.broker, pytest.mark.timeout(150)]

MANY = 6
PATIENCE_S = 100.0
"""So long a deadline that no request ends because of it."""
LOOP_STALL_MS = 50.0
IDLE = """
import asyncio, sys, time
from mynah_resilience import StallProbe

async def main():
    async with StallProbe(cpu_clock=time.monotonic) as probe:  # as closely as a busy loop is watched
        await asyncio.to_thread(sys.stdin.read)
        print(probe.maximum_ms)

asyncio.run(main())
"""


@pytest.fixture
def two(make_fleet):
    fleet = make_fleet("--scale", "stt=2")
    fleet.start()
    return fleet


def speech(fleet, seconds: float) -> Samples:
    """A spoken question, again and again."""
    path = fleet.home / "question.wav"
    fleet.mynah("say", "what time is it", "-o", str(path))
    return np.resize(load(path).samples, round(seconds * 16_000))


@asynccontextmanager
async def guest(fleet, recognisers: int) -> AsyncIterator[Bus]:
    """A guest who knows this many recognisers to be up."""
    async with Bus(Role.GUEST, fleet.settings) as bus:
        await bus.ready(10)
        with told(bus, lambda: len(members(bus)) == recognisers) as all_up:
            await all_up
        yield bus


def members(bus: Bus) -> dict[str, Member]:
    """The recognisers that are up, by instance."""
    return {member.health.instance: member for member in bus.fleet.ready(Role.STT, Transcribe.contract.name)}


@contextmanager
def told(bus: Bus, is_so: Callable[[], bool]) -> Iterator[asyncio.Future[None]]:
    """A future that is done as soon as the health messages make something true."""
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def look(_: Health | None = None) -> None:
        if is_so() and not future.done():
            future.set_result(None)

    bus.fleet.on_change.add(look)
    look()
    try:
        yield asyncio.ensure_future(asyncio.wait_for(future, 15))
    finally:
        bus.fleet.on_change.discard(look)


def ask(bus: Bus, samples: Samples, how_many: int) -> list[asyncio.Task[Transcript]]:
    """Have a recording put into words several times at once."""
    request = Transcribe(audio=to_bytes(samples))
    return [
        asyncio.create_task(bus.request(request, Transcript, timeout=PATIENCE_S), name="ask") for _ in range(how_many)
    ]


@pytest.mark.req("F01", "F07")
async def test_two_recognisers_share_and_one_takes_over_at_once_when_the_other_is_killed(two):
    recording = speech(two, 4)
    async with guest(two, 2) as bus:
        asked = ask(bus, recording, MANY)
        await asyncio.sleep(0)  # they are sent
        victim, heir = (members(bus)[instance] for instance in ("1", "2"))
        assert (victim.outstanding, heir.outstanding) == (MANY // 2, MANY // 2)

        moved: list[tuple[int, int]] = []
        with told(bus, lambda: victim.health.status == "down") as down:
            bus.fleet.on_change.add(lambda _: moved.append((victim.outstanding, heir.outstanding)))
            done_before = sum(task.done() for task in asked)
            os.kill(victim.health.pid, signal.SIGKILL)
            await down

        # In the very call that took note of the death, nothing was left with the dead.
        assert moved[-1][0] == 0
        assert done_before == 0
        assert sum(moved[-1]) + sum(task.done() for task in asked) >= MANY
        texts = {transcript.text for transcript in await asyncio.gather(*asked)}
        assert len(texts) == 1
        assert bus.pending == 0
        with told(bus, lambda: len(members(bus)) == 2) as back:
            await back


@pytest.mark.req("F19", "F22")
async def test_what_a_hanging_recogniser_should_do_the_other_does_and_no_turn_is_answered_twice(two):
    recording = speech(two, 1)
    async with guest(two, 2) as bus, bus.listening(TurnEvent) as followed:
        endings: Counter[str] = Counter()
        with frozen(members(bus)["1"].health.pid):
            await asyncio.gather(*ask(bus, recording, MANY))
        with told(bus, lambda: len(members(bus)) == 2) as both_up:
            await both_up
        for instance in ("1", "2"):  # one of them is the first choice of whoever speaks
            with frozen(members(bus)[instance].health.pid):
                spoken = await turn(two.settings, two.home / "question.wav", None)
                assert spoken["transcript"] == "what time is it", spoken

        await asyncio.gather(*ask(bus, recording, MANY))  # awake, both have dealt with all that they were sent before
        answer = await bus.request(Ask(text="what time is it"), Answer)
        async with asyncio.timeout(15):
            while not endings[answer.turn_id]:
                match (await anext(followed)).message:
                    case TurnEvent(phase="done" | "failed" | "cancelled") as ended:
                        endings[ended.turn_id] += 1
        assert len(endings) == 3
        assert set(endings.values()) == {1}
        assert bus.pending == 0


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Have a process do nothing while the block lasts."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.req("MQ-12", "STT-03", "STT-04", "MET-05", "MET-09", "PERF-01", "CON-02")
async def test_a_recogniser_replies_to_a_hundred_others_while_it_works_on_half_a_minute(own_fleet):
    half_a_minute = speech(own_fleet, 30)
    async with guest(own_fleet, 1) as bus, idling() as idle:
        worker = members(bus)["1"]
        with replied(bus) as replies:
            (long,) = ask(bus, half_a_minute, 1)
            others = [
                asyncio.create_task(bus.request(Transcribe(audio=b"odd"), timeout=PATIENCE_S)) for _ in range(100)
            ]
            await asyncio.wait(
                {long, asyncio.ensure_future(replies.from_all(101))}, return_when=asyncio.FIRST_COMPLETED
            )

            assert len(replies.to) == 101
            assert not long.done()
        ends = await asyncio.gather(long, *others, return_exceptions=True)
        assert isinstance(ends[0], Transcript)
        assert {end.code for end in ends[1:]} == {"bad_audio", "queue_full"}
        before = worker.health.seq
        with told(bus, lambda: worker.health.seq > before) as next_health:
            await next_health
        assert worker.health.stall_max_ms - await idle() < LOOP_STALL_MS


@asynccontextmanager
async def idling() -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """How long a process that does nothing was stalled by the machine meanwhile, in ms; it ends when it is asked."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", IDLE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )

    async def stalled() -> float:
        told, _ = await process.communicate(b"")
        return float(told)

    try:
        yield stalled
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Replies:
    """The requests to which something was replied: that it is being worked on, or why not."""

    def __init__(self) -> None:
        self.to: set[str] = set()
        self._more = asyncio.Event()

    async def from_all(self, how_many: int) -> None:
        """Wait for replies to so many requests."""
        while len(self.to) < how_many:
            self._more.clear()
            await self._more.wait()

    def note(self, packet: Packet) -> None:
        """Enter a reply."""
        request = decode(packet, None).envelope.correlation_id
        if request:  # else it is the connection's own echo
            self.to.add(request)
            self._more.set()


@contextmanager
def replied(bus: Bus) -> Iterator[Replies]:
    """What is replied to a bus, as it comes."""
    behind, replies = bus.link.on_packet, Replies()

    def tap(packet: Packet) -> None:
        if packet.topic.startswith(bus.reply_topic):
            replies.note(packet)
        behind(packet)

    bus.link.on_packet = tap
    yield replies
    bus.link.on_packet = behind
