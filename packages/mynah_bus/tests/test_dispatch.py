"""Whatever arrives, and whatever a handler does, the next message is handled; every queue is bounded."""

import asyncio
from collections.abc import AsyncIterator
from typing import Self

import orjson
import pytest

from mynah_bus import EngineFailed, RequestFailed, Worker, conversation, current, handles, produces
from mynah_bus.answers import BYTES, SHARE
from mynah_bus.bus import REPORTED_AT_ONCE
from mynah_bus.memory_link import InMemoryBroker, MemoryLink
from mynah_bus.testing import serving
from mynah_bus.tests.puppets import at_work, found, joined, member
from mynah_bus.wire import Packet
from mynah_contracts import (
    Failed,
    LlmDelta,
    LlmRequest,
    LlmResponse,
    MemoryQuery,
    MemoryResults,
    Role,
    Said,
    Say,
    Transcribe,
    Transcript,
    Vocabulary,
)

pytestmark = [pytest.mark.asyncio(loop_factories=["virtual"]), pytest.mark.usefixtures("loop_stays_awake")]

INSTANT = 0.001
REPLIES = "mynah/reply/guest/1"


def asking(payload: bytes, **more: object) -> Packet:
    """A query as a guest sends it with the standard tools."""
    return Packet("mynah/memory/query", payload, qos=1, response_topic=REPLIES, correlation=b"1", **more)


def member_at(broker: InMemoryBroker, part: object, role: Role = Role.MEMORY) -> Worker:
    """A worker that the test enters itself."""
    worker = member("one", part, role=role)
    worker.bus.use(broker.link)
    return worker


class Moody:
    """Answers what it is asked, but for some words."""

    @handles
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        if query.text == "expected":
            raise EngineFailed("The index is damaged.")
        if query.text == "bug":
            raise KeyError(query.text)
        return found(query.text)


HOSTILE = {
    "an expected error": (b'{"text": "expected"}', False, "engine"),
    "a bug": (b'{"text": "bug"}', False, "bug"),
    "garbage": (b"\x00\xff{", False, "bad_message"),
    "nothing": (b"", False, "bad_message"),
    "a list": (b"[1]", False, "bad_message"),
    "another schema": (b'{"data": {"text": 5}}', False, "bad_message"),
    "another type": (b'{"type": "tts.say", "data": {"text": "x"}}', False, "bad_message"),
    "a newer version": (b'{"v": 2, "data": {"text": "x"}}', False, "unsupported_version"),
    "a retained command": (b'{"data": {"text": "x"}}', True, "bad_message"),
}


@pytest.mark.req("MQ-17")
@pytest.mark.parametrize(("payload", "retained", "code"), HOSTILE.values(), ids=HOSTILE)
async def test_after_what_does_not_fit_the_next_message_is_answered(broker, payload, retained, code):
    worker = member("one", Moody())
    async with at_work(broker, worker):
        # Delivered as a broker delivers what was retained: with the flag.
        worker.bus.link.on_packet(asking(payload, retain=retained))
        broker.publish(asking(b'{"text": "next"}'))
        await asyncio.sleep(INSTANT)
        first, second = (orjson.loads(packet.payload) for packet in broker.published if packet.topic == REPLIES)
        reports = [orjson.loads(packet.payload) for packet in broker.published if packet.topic == "mynah/system/error"]
    assert first["type"] == "system.error"
    assert first["data"]["code"] == code
    assert first["data"]["about"] == "memory.query"
    assert second["data"]["results"][0]["text"] == "next"
    assert [report["data"]["code"] for report in reports] == [code]


async def test_of_a_flood_of_garbage_all_is_counted_and_answered_and_some_is_reported(broker):
    worker = member("one", Moody())
    async with at_work(broker, worker):
        for _ in range(3 * REPORTED_AT_ONCE):
            broker.publish(asking(b"garbage"))
        await asyncio.sleep(INSTANT)
        told = [packet.topic for packet in broker.published]
    assert worker.bus.counters["bad_messages"] == told.count(REPLIES) == 3 * REPORTED_AT_ONCE
    assert REPORTED_AT_ONCE <= told.count("mynah/system/error") < 2 * REPORTED_AT_ONCE


async def test_a_failure_of_one_request_says_its_code_to_who_asked():
    async with serving(member("one", Moody())) as stage:
        with pytest.raises(RequestFailed, match="The index is damaged") as failure:
            await stage.ask(MemoryQuery(text="expected"))
        assert failure.value.code == "engine"
        assert (await stage.next(Failed)).code == "engine"


class Busy:
    """Works until it is told that it is done; two at once, three may wait."""

    def __init__(self) -> None:
        self.working: list[str] = []
        self.most = 0
        self.done = asyncio.Semaphore(0)

    @handles(at_once=2, waiting=3)
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        self.working.append(query.text)
        self.most = max(self.most, len(self.working))
        await self.done.acquire()
        self.working.remove(query.text)
        return found(query.text)


async def test_of_seven_requests_two_are_at_work_three_wait_and_two_are_refused():
    part = Busy()
    worker = member("one", part)
    async with serving(worker) as stage:
        bus = await stage.bus(Role.SKILL)
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)), timeout=60)) for n in range(7)]
        refused, _ = await asyncio.wait(asked, timeout=1)
        assert [each.exception().code for each in refused] == ["queue_full"] * 2
        assert part.working == ["0", "1"]
        assert (worker.dispatcher.in_flight, worker.dispatcher.queued) == (2, 3)
        for _ in range(5):
            part.done.release()
        answered = await asyncio.gather(*asked, return_exceptions=True)
        assert [each.results[0].text for each in answered[:5]] == ["0", "1", "2", "3", "4"]
        assert part.most == 2


class Reader:
    """Reads what the model says, slowly; three pieces may wait."""

    def __init__(self) -> None:
        self.read: list[str] = []
        self.may_go_on = asyncio.Event()

    @handles(waiting=3)
    async def note(self, piece: LlmDelta) -> None:
        self.read.append(piece.delta)
        await self.may_go_on.wait()


async def test_of_a_stream_that_nobody_keeps_up_with_the_oldest_is_dropped():
    part = Reader()
    worker = member("one", part, role=Role.ROUTER)
    async with serving(worker) as stage:
        for n in range(10):
            await stage.send(LlmDelta(delta=str(n)))
        await asyncio.sleep(INSTANT)
        part.may_go_on.set()
        await asyncio.sleep(INSTANT)
        assert part.read == ["0", "7", "8", "9"]
        assert worker.bus.counters["dropped"] == 6


def reported(broker: InMemoryBroker) -> list[dict[str, object]]:
    """What everybody was told to have gone wrong."""
    return [orjson.loads(each.payload) for each in broker.published if each.topic == "mynah/system/error"]


class Silent:
    """Takes what nobody waits for an answer to."""

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.may_go_on = asyncio.Event()

    @handles(waiting=1)
    async def speak(self, sentence: Say) -> None:
        self.spoken.append(sentence.text)
        await self.may_go_on.wait()


async def test_what_is_refused_though_nobody_will_ask_again_is_reported(broker):
    part = Silent()
    async with at_work(broker, member("one", part, role=Role.TTS)):
        for n in range(5):
            broker.publish(Packet("mynah/tts/say", b'{"id": "%d", "turn": "t%d", "data": {"text": "%d"}}' % (n, n, n)))
        await asyncio.sleep(INSTANT)
        part.may_go_on.set()
        await asyncio.sleep(INSTANT)
    assert part.spoken == ["0", "1"]
    told = [(each["turn"], each["data"]["code"], each["data"]["about"]) for each in reported(broker)]
    assert told == [(f"t{n}", "queue_full", "tts.say") for n in range(2, 5)]


async def test_of_a_flood_of_what_is_refused_some_is_reported(broker):
    worker = member("one", Silent(), role=Role.TTS)
    async with at_work(broker, worker):
        for _ in range(3 * REPORTED_AT_ONCE):
            broker.publish(Packet("mynah/tts/say", b'{"text": "?"}'))
        await asyncio.sleep(INSTANT)
        assert worker.bus.counters["refused"] == 3 * REPORTED_AT_ONCE - 2
        assert REPORTED_AT_ONCE <= len(reported(broker)) < 2 * REPORTED_AT_ONCE


class Stuck:
    """Comes to no end, with what it is asked and with what it hears."""

    @handles
    async def recall(self, query: MemoryQuery) -> None:
        await asyncio.sleep(1_000)

    @handles
    async def note(self, transcript: Transcript) -> None:
        await asyncio.sleep(1_000)


async def test_of_what_a_worker_that_stops_leaves_undone_only_what_it_was_asked_is_reported(broker):
    worker = member_at(broker, Stuck())
    await worker.__aenter__()
    for _ in range(2):
        broker.publish(Packet("mynah/memory/query", b'{"text": "?"}'))
        broker.publish(Packet("mynah/stt/final", b'{"text": "?"}'))
    await asyncio.sleep(INSTANT)
    await worker.__aexit__(None, None, None)
    told = [(each["data"]["code"], each["data"]["about"]) for each in reported(broker)]
    assert told == [("shutting_down", "memory.query")] * 2


@pytest.mark.req("S05")
async def test_what_is_published_twice_is_done_once(broker):
    part = Silent()
    part.may_go_on.set()
    worker = member("one", part, role=Role.TTS)
    async with at_work(broker, worker):
        for _ in range(3):
            broker.publish(Packet("mynah/tts/say", b'{"id": "same", "data": {"text": "once"}}', qos=1))
            await asyncio.sleep(INSTANT)
    assert part.spoken == ["once"]
    assert worker.bus.counters["duplicates"] == 2


async def test_what_was_refused_may_come_again(broker):
    part = Silent()
    async with at_work(broker, member("one", part, role=Role.TTS)):
        for text in (b"at work", b"waits", b"refused", b"refused"):
            broker.publish(Packet("mynah/tts/say", b'{"id": "%s", "data": {"text": "%s"}}' % (text, text)))
            await asyncio.sleep(INSTANT)
            if len(reported(broker)) == 1:
                part.may_go_on.set()
                await asyncio.sleep(INSTANT)
    assert part.spoken == ["at work", "waits", "refused"]


class Eloquent:
    """Gives long answers."""

    def __init__(self, length: int = 100_000) -> None:
        self.asked = 0
        self._length = length

    @handles
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        self.asked += 1
        return found("x" * self._length)


async def test_a_long_answer_is_given_twice_and_found_once(broker):
    part = Eloquent()
    async with at_work(broker, member("one", part)):
        for _ in range(2):
            broker.publish(asking(b'{"id": "same", "data": {"text": "?"}}'))
            await asyncio.sleep(INSTANT)
    first, second = (packet.payload for packet in broker.published if packet.topic == REPLIES)
    assert len(first) > 100_000
    assert first == second
    assert part.asked == 1


async def test_who_asks_again_for_an_answer_that_was_too_long_to_be_kept_is_told_so(broker):
    part = Eloquent(BYTES // SHARE)
    async with at_work(broker, member("one", part)):
        for _ in range(2):
            broker.publish(asking(b'{"id": "same", "data": {"text": "?"}}'))
            await asyncio.sleep(INSTANT)
    _, again = (orjson.loads(packet.payload) for packet in broker.published if packet.topic == REPLIES)
    assert again["data"]["code"] == "answer_lost"
    assert part.asked == 1


class Forgetful:
    """Cannot learn."""

    @handles
    async def learn(self, vocabulary: Vocabulary) -> None:
        raise EngineFailed("The recogniser is gone.", retryable=True)


async def test_what_fails_though_nobody_tells_it_again_is_reported(broker):
    async with at_work(broker, member("one", Forgetful(), role=Role.STT)), joined(broker, Role.ROUTER) as router:
        router.publish(Vocabulary(intents={}))
        await asyncio.sleep(INSTANT)
    assert [(each["data"]["message"], each["data"]["about"]) for each in reported(broker)] == [
        ("The recogniser is gone.", "stt.vocabulary")
    ]


class Hopeless:
    """Fails to hear of failures."""

    @handles
    async def hear(self, failed: Failed) -> None:
        raise EngineFailed(failed.message)


async def test_a_report_that_cannot_be_handled_is_not_reported(broker):
    worker = member("one", Hopeless(), role=Role.SKILL)
    async with at_work(broker, worker):
        broker.publish(Packet("mynah/system/error", b'{"data": {"code": "bug", "message": "?"}}'))
        await asyncio.sleep(INSTANT)
        assert worker.bus.counters["failed"] == 1
    assert len(reported(broker)) == 1


class Voice:
    """Speaks one sentence after the other."""

    def __init__(self) -> None:
        self.spoken: list[str] = []
        self.may_go_on = asyncio.Event()

    @handles
    async def speak(self, sentence: Say) -> Said:
        self.spoken.append(sentence.text)
        await self.may_go_on.wait()
        return Said()


async def test_what_is_urgent_overtakes_what_waits():
    part = Voice()
    async with serving(member("one", part, role=Role.TTS)) as stage:
        await stage.send(Say(text="at work"), role=Role.SKILL)
        for priority, text in ((5, "can wait"), (3, "first"), (3, "second"), (1, "urgent")):
            with conversation(priority=priority):
                await stage.send(Say(text=text), role=Role.SKILL)
        await asyncio.sleep(INSTANT)
        part.may_go_on.set()
        await asyncio.sleep(INSTANT)
        assert part.spoken == ["at work", "urgent", "first", "second", "can wait"]


class Model:
    """Takes its time to open, and answers only while it is."""

    def __init__(self) -> None:
        self.is_open = False
        self.opened = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.opened.wait()
        self.is_open = True
        return self

    async def __aexit__(self, *error: object) -> None:
        self.is_open = False

    @handles
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        if not self.is_open:
            raise RuntimeError("not open")
        return found(query.text)


async def test_nothing_is_handled_before_its_part_is_open(broker):
    part = Model()
    opening = asyncio.create_task(member_at(broker, part).__aenter__())
    await asyncio.sleep(INSTANT)
    broker.publish(asking(b'{"text": "early"}'))
    await asyncio.sleep(1)
    part.opened.set()
    worker = await opening
    await asyncio.sleep(INSTANT)
    await worker.__aexit__(None, None, None)
    answers = [orjson.loads(packet.payload) for packet in broker.published if packet.topic == REPLIES]
    assert answers[-1]["data"]["results"][0]["text"] == "early"
    assert "system.error" not in {answer["type"] for answer in answers}
    assert not part.is_open


async def test_a_request_waits_for_a_worker_that_is_starting(broker):
    part = Model()
    opening = asyncio.create_task(member_at(broker, part).__aenter__())
    async with joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="early"), timeout=20))
        done, _ = await asyncio.wait([asked], timeout=2)
        assert not done
        part.opened.set()
        assert await asked == found("early")
        await (await opening).__aexit__(None, None, None)


async def test_a_worker_that_stops_finishes_what_runs_and_refuses_what_waits(broker):
    part = Busy()
    worker = member_at(broker, part)
    await worker.__aenter__()
    async with joined(broker, Role.SKILL) as bus:
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)), timeout=60)) for n in range(3)]
        await asyncio.wait(asked, timeout=0.2)
        stopping = asyncio.create_task(worker.__aexit__(None, None, None))
        await asyncio.wait(asked, timeout=0.2)
        part.done.release()
        part.done.release()
        await stopping
        first, second, third = await asyncio.gather(*asked, return_exceptions=True)
    assert [answer.results[0].text for answer in (first, second)] == ["0", "1"]
    assert third.retryable


class Draining(MemoryLink):
    """Takes its time to send the last."""

    async def drained(self, within: float) -> None:
        await asyncio.sleep(within)


@pytest.mark.parametrize("payload", [b'{"text": "too late"}', b"garbage"])
async def test_what_comes_when_the_bus_is_about_to_hang_up_is_for_others(broker, payload, caplog):
    worker = member("one", Moody())
    worker.bus.use(lambda _, instance: Draining(broker, instance))
    await worker.__aenter__()
    stopping = asyncio.create_task(worker.__aexit__(None, None, None))
    await asyncio.sleep(0.1)
    broker.publish(asking(payload))
    await stopping
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


async def test_what_does_not_end_within_its_grace_is_cancelled_and_says_so(broker):
    worker = member_at(broker, Busy())
    await worker.__aenter__()
    async with joined(broker, Role.SKILL):
        broker.publish(asking(b'{"text": "stuck"}'))
        await asyncio.sleep(INSTANT)
        await worker.__aexit__(None, None, None)
    answers = [orjson.loads(packet.payload) for packet in broker.published if packet.topic == REPLIES]
    assert (answers[-1]["data"]["code"], answers[-1]["data"]["retryable"]) == ("shutting_down", True)


async def test_what_waited_longer_than_its_sender_does_is_not_done(broker):
    part = Busy()
    async with at_work(broker, member("one", part)):
        for n in range(2):
            broker.publish(asking(b'{"text": "at work %d"}' % n))
        broker.publish(asking(b'{"text": "too late"}', expires=0))
        await asyncio.sleep(INSTANT)
        for _ in range(3):
            part.done.release()
        await asyncio.sleep(INSTANT)
    answers = [orjson.loads(packet.payload)["data"] for packet in broker.published if packet.topic == REPLIES]
    assert [answer["code"] for answer in answers if "code" in answer] == ["expired"]


class Storyteller:
    """Answers in pieces, then as a whole."""

    @handles
    async def tell(self, request: LlmRequest) -> AsyncIterator[LlmDelta | LlmResponse]:
        for seq, word in enumerate(request.text.split()):
            yield LlmDelta(delta=word, seq=seq)
        yield LlmResponse(reply=request.text)


async def test_a_handler_that_is_a_generator_answers_in_parts():
    async with serving(member("one", Storyteller(), role=Role.LLM)) as stage:
        bus = await stage.bus(Role.SKILL)
        parts = [part async for part in bus.stream(LlmRequest(text="once upon a"))]
        assert [part.delta for part in parts[:-1]] == ["once", "upon", "a"]
        assert parts[-1].reply == "once upon a"


async def test_a_command_without_a_reply_topic_is_answered_on_the_topic_of_its_reply():
    async with serving(member("one", Moody())) as stage:
        await stage.send(MemoryQuery(text="pipeline"), role=Role.SKILL)
        assert (await stage.next(MemoryResults)) == found("pipeline")


class Passing:
    """Says what it was part of, before and after others had their turn."""

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    @handles(at_once=100)
    async def hear(self, transcript: Transcript) -> Say:
        before = current().turn
        await asyncio.sleep(0.5)
        self.seen.append((before, current().turn))
        return Say(text=transcript.text)


async def test_the_turn_flows_to_what_a_handler_sends_and_does_not_leak_between_handlers(broker):
    part = Passing()
    async with at_work(broker, member("one", part, role=Role.ROUTER)):
        for n in range(20):
            broker.publish(
                Packet("mynah/stt/final", b'{"turn": "t%d", "session": "s", "data": {"text": "%d"}}' % (n, n))
            )
        broker.publish(Packet("mynah/stt/final", b'{"text": "of no turn"}'))
        await asyncio.sleep(1)
    sent = [orjson.loads(packet.payload) for packet in broker.published if packet.topic == "mynah/tts/say"]
    turns = {each["data"]["text"]: (each.get("turn"), each.get("session")) for each in sent}
    assert turns == {str(n): (f"t{n}", "s") for n in range(20)} | {"of no turn": (None, None)}
    assert all(before == after for before, after in part.seen)
    assert current().turn is None


class Clock:
    """Says something of its own accord, then breaks."""

    @produces
    async def tick(self) -> AsyncIterator[LlmDelta]:
        yield LlmDelta(delta="tick")
        raise OSError("The clock is broken.")


@pytest.mark.req("MQ-18")
async def test_a_background_loop_that_breaks_ends_the_worker_visibly(broker):
    worker = member_at(broker, Clock(), role=Role.LLM)
    with pytest.raises(OSError, match="The clock is broken"):
        await worker.run()
    health = [orjson.loads(p.payload)["data"] for p in broker.published if "/health/" in p.topic]
    told = [(each["status"], each["reason"]) for each in health if each["status"] == "down"]
    assert told == [("down", ""), ("down", "The clock is broken.")]


class Follower:
    """Notes what is to be spoken by others."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    @handles
    async def note(self, sentence: Say) -> None:
        self.noted.append(sentence.text)


@pytest.mark.parametrize(("payload", "retained"), [(b"garbage", False), (b'{"data": {"text": "x"}}', True)])
async def test_who_merely_overhears_what_does_not_fit_counts_it_and_leaves_the_answer_to_others(
    broker, payload, retained
):
    follower, voice = Follower(), Voice()
    memory, tts = member("one", follower), member("one", voice, role=Role.TTS)
    async with at_work(broker, memory, tts):
        for worker in (memory, tts):
            worker.bus.link.on_packet(
                Packet("mynah/tts/say", payload, qos=1, retain=retained, response_topic=REPLIES, correlation=b"1")
            )
        await asyncio.sleep(INSTANT)
    told = [(p.topic, orjson.loads(p.payload)["source"]) for p in broker.published if b"bad_message" in p.payload]
    assert [each for each in told if "/health/" not in each[0]] == [
        (REPLIES, "tts/one"),
        ("mynah/system/error", "tts/one"),
    ]
    assert memory.bus.counters["bad_messages"] == tts.bus.counters["bad_messages"] == 1
    assert (follower.noted, voice.spoken) == ([], [])


async def test_a_retained_command_that_is_cleared_means_nothing(broker):
    worker = member("one", Moody())
    async with at_work(broker, worker):
        worker.bus.link.on_packet(Packet("mynah/memory/query", b"", qos=1, retain=True))
        await asyncio.sleep(INSTANT)
        assert "bad_messages" not in worker.bus.counters
    assert not [packet for packet in broker.published if packet.topic == "mynah/system/error"]


class Ear:
    """Hears always the same."""

    @handles
    async def transcribe(self, _: Transcribe) -> Transcript:
        return Transcript(text="x")


async def test_news_goes_first_to_those_who_wait_for_it(broker):
    async with (
        at_work(broker, member("one", Ear(), role=Role.STT), member("two", Moody())),
        joined(broker, Role.SATELLITE) as satellite,
        joined(broker, Role.LLM) as llm,
    ):
        with conversation(turn="t"):
            await satellite.request(Transcribe(audio=b"\0\0"))
            await llm.request(MemoryQuery(text="x"))
        await asyncio.sleep(INSTANT)
    topics = [packet.topic for packet in broker.published]
    assert topics.index("mynah/stt/final") < topics.index("mynah/reply/satellite/asker/stt")
    assert topics.index("mynah/reply/llm/asker/memory") < topics.index("mynah/memory/results")


@pytest.mark.req("S05")
async def test_a_request_is_answered_though_another_asked_under_its_identifier(broker):
    payload = b'{"id": "same", "data": {"text": "%s"}}'
    answers = "mynah/reply/skill/1"
    async with at_work(broker, member("one", Moody())):
        broker.publish(asking(payload % b"theirs"))
        await asyncio.sleep(INSTANT)
        for _ in range(2):
            broker.publish(Packet("mynah/memory/query", payload % b"ours", qos=1, response_topic=answers))
            await asyncio.sleep(INSTANT)
    told = [(packet.topic, packet.payload) for packet in broker.published if packet.topic in {REPLIES, answers}]
    texts = [(topic, orjson.loads(payload)["data"]["results"][0]["text"]) for topic, payload in told]
    assert texts == [(REPLIES, "theirs"), (answers, "ours"), (answers, "ours")]
    assert told[1] == told[2]  # and done once


class Listener:
    """Notes what happens."""

    def __init__(self) -> None:
        self.heard: list[Said | Transcript] = []

    @handles
    async def note_words(self, transcript: Transcript) -> None:
        self.heard.append(transcript)

    @handles
    async def note_speech(self, said: Said) -> None:
        self.heard.append(said)


@pytest.mark.req("S05")
async def test_an_event_is_heard_though_another_came_under_its_identifier(broker):
    part = Listener()
    async with at_work(broker, member_at(broker, part, role=Role.ROUTER)):
        broker.publish(Packet("mynah/tts/said", b'{"id": "same", "data": {}}', qos=1))
        broker.publish(Packet("mynah/stt/final", b'{"id": "same", "data": {"text": "x"}}', qos=1))
        await asyncio.sleep(INSTANT)
    assert part.heard == [Said(), Transcript(text="x")]


async def test_an_event_that_comes_twice_is_handled_once(broker):
    part = Passing()
    async with at_work(broker, member_at(broker, part, role=Role.ROUTER)):
        for _ in range(2):
            broker.publish(Packet("mynah/stt/final", b'{"id": "same", "data": {"text": "x"}}', qos=1))
        await asyncio.sleep(1)
    assert len(part.seen) == 1
