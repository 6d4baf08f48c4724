"""Requests find a live worker, get their own answer, and leave nothing behind."""

import asyncio
import random
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace

import orjson
import pytest

from mynah_bus import BusClosed, NoWorker, RequestFailed, RequestTimeout, handles
from mynah_bus.memory_link import InMemoryBroker, MemoryLink
from mynah_bus.testing import serving
from mynah_bus.tests.puppets import at_work, found, joined, member, puppet
from mynah_bus.wire import Packet
from mynah_contracts import (
    Failed,
    LlmDelta,
    LlmRequest,
    LlmResponse,
    MemoryQuery,
    MemoryResults,
    Role,
)

pytestmark = [pytest.mark.asyncio(loop_factories=["virtual"]), pytest.mark.usefixtures("loop_stays_awake")]


def now() -> float:
    return asyncio.get_running_loop().time()


def texts(results: object) -> list[str]:
    assert isinstance(results, MemoryResults)
    return [each.text for each in results.results]


@pytest.mark.req("MQ-07")
async def test_a_hundred_requests_answered_in_random_order_each_get_their_own_reply(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)))) for n in range(100)]
        heard = [await worker.heard() for _ in asked]
        random.Random(7).shuffle(heard)
        for request in heard:
            worker.answer(request, found(request.message.text))
        answers = await asyncio.gather(*asked)
    assert [texts(answer) for answer in answers] == [[str(n)] for n in range(100)]
    assert len({request.envelope.correlation_id for request in heard}) == 100
    assert not {request.envelope.correlation_id for request in heard} & {request.envelope.id for request in heard}
    assert bus.pending == 0


@pytest.mark.req("MQ-10")
async def test_a_thousand_requests_with_mixed_outcomes_leave_nothing_pending(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        fates = ["answered", "failed", "timed out", "cancelled"] * 250
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=fate), timeout=3)) for fate in fates]
        for _ in fates:
            request = await worker.heard()
            worker.accept(request)
            if request.message.text == "answered":
                worker.answer(request, found("it"))
            elif request.message.text == "failed":
                worker.answer(request, Failed(code="engine", message="No."))
        assert bus.pending == 1000
        for task, fate in zip(asked, fates, strict=True):
            if fate == "cancelled":
                task.cancel()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert bus.pending == 0
        (member,) = bus.fleet.ready(Role.MEMORY, "memory.query")
        assert member.outstanding == 0
        assert not member.on_down
    kinds = [MemoryResults, RequestFailed, RequestTimeout, asyncio.CancelledError] * 250
    assert [type(each) for each in ended] == kinds


@pytest.mark.req("MQ-09", "MQ-19")
async def test_a_request_that_nobody_answers_fails_at_its_deadline(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        worker.accept(await worker.heard())
        with pytest.raises(RequestTimeout, match=r"memory\.query was not answered within 5 s"):
            await asked
        assert now() - began == pytest.approx(5.0)
        assert bus.pending == 0


@pytest.mark.req("LLM-04", "PERF-03")
@pytest.mark.parametrize("timeout", [5.0, 30.0])
async def test_the_answer_resumes_its_caller_at_once_and_silence_ends_at_the_deadline(broker, timeout):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?"), timeout=timeout))
        worker.answer(await worker.heard(), found("here"))
        assert texts(await asked) == ["here"]
        assert now() == began
        silent = asyncio.create_task(bus.request(MemoryQuery(text="?"), timeout=timeout))
        worker.accept(await worker.heard())
        with pytest.raises(RequestTimeout):
            await silent
        assert now() - began == pytest.approx(timeout)


@pytest.mark.req("MQ-11", "SHD-05")
async def test_closing_the_bus_fails_what_is_pending(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, AsyncExitStack() as stack:
        bus = await stack.enter_async_context(joined(broker, Role.SKILL))
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)))) for n in range(10)]
        for _ in asked:
            worker.accept(await worker.heard())
        began = now()
        await stack.aclose()
        ended = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(each) for each in ended] == [BusClosed] * 10
        assert now() - began < 1.0
        assert bus.pending == 0
        with pytest.raises(BusClosed):
            await bus.request(MemoryQuery(text="late"))


async def test_without_a_worker_a_request_fails_at_once(broker):
    async with joined(broker, Role.SKILL) as bus:
        began = now()
        with pytest.raises(NoWorker, match="No memory worker is running"):
            await bus.request(MemoryQuery(text="?"))
        assert now() == began
        assert bus.pending == 0


async def test_a_worker_that_tells_no_health_is_found_by_the_shared_topic(broker):
    async with puppet(broker, "one", MemoryQuery, status=None) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        worker.answer(await worker.heard(), found("here"))
        assert texts(await asked) == ["here"]


async def test_the_least_loaded_worker_is_asked(broker):
    async with (
        puppet(broker, "a-busy", MemoryQuery, status=None) as busy,
        puppet(broker, "idle", MemoryQuery) as idle,
        joined(broker, Role.SKILL) as bus,
    ):
        busy.health("up", queued=7)
        await bus.until_up(Role.MEMORY)
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        idle.answer(await idle.heard(), found("idle"))
        assert texts(await asked) == ["idle"]


async def test_requests_that_come_together_are_shared_out(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        asked = [asyncio.create_task(bus.request(MemoryQuery(text=str(n)))) for n in range(10)]
        for worker in (one, two) * 5:
            worker.answer(await worker.heard(), found(worker.bus.instance))
        assert sorted(texts(each)[0] for each in await asyncio.gather(*asked)) == ["one"] * 5 + ["two"] * 5


async def test_a_refused_request_moves_to_another_worker_at_once(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        first = await one.heard()
        one.refuse(first)
        second = await two.heard()
        assert second.envelope.id == first.envelope.id
        two.answer(second, found("two"))
        assert texts(await asked) == ["two"]
        assert now() == began


async def test_what_every_worker_refuses_fails_with_their_reason(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        one.refuse(await one.heard())
        two.refuse(await two.heard())
        with pytest.raises(RequestFailed) as failure:
            await asked
        assert (failure.value.code, failure.value.retryable) == ("queue_full", True)
        assert now() == began


async def test_a_request_moves_at_once_when_its_worker_goes_down(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        one.accept(await one.heard())
        one.health("down")
        two.answer(await two.heard(), found("two"))
        assert texts(await asked) == ["two"]
        assert now() == began


async def test_a_request_moves_after_250_ms_when_its_worker_is_silent(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        began = now()
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        await one.heard()
        request = await two.heard()
        assert now() - began == pytest.approx(0.250)
        two.answer(request, found("two"))
        assert texts(await asked) == ["two"]


async def test_the_only_worker_is_asked_again_while_it_is_silent(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        first = await worker.heard()
        again = await worker.heard()
        assert again.envelope.id == first.envelope.id
        worker.answer(again, found("awake"))
        assert texts(await asked) == ["awake"]


class Thorough:
    """Takes three seconds for each answer."""

    def __init__(self) -> None:
        self.asked = 0

    @handles(at_once=10)
    async def recall(self, query: MemoryQuery) -> MemoryResults:
        self.asked += 1
        await asyncio.sleep(3)
        return found(query.text)


async def test_a_worker_that_has_accepted_within_100_ms_keeps_the_request(broker):
    one, two = Thorough(), Thorough()
    async with serving(member("one", one), member("two", two)) as stage:
        began = now()
        bus = await stage.bus(Role.SKILL)
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?"), timeout=10))
        assert texts(await asked) == ["?"]
        assert now() - began == pytest.approx(3.0)
        assert one.asked + two.asked == 1
        said = [packet.payload for packet in stage.broker.published if packet.topic.startswith(bus.reply_topic)]
        assert [orjson.loads(payload)["type"] for payload in said[1:]] == ["system.accepted", "memory.results"]


async def again(broker: InMemoryBroker, topic: str) -> None:
    """Deliver the last request on a topic a second time, as a broker may."""
    (packet,) = [packet for packet in broker.published if packet.topic.startswith(topic)][-1:]
    broker.publish(replace(packet))
    await asyncio.sleep(0.001)


@pytest.mark.req("MQ-20")
async def test_a_request_that_comes_twice_is_answered_twice_and_done_once():
    part = Thorough()
    async with serving(member("one", part)) as stage:
        bus = await stage.bus(Role.SKILL)
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?"), timeout=10))
        await asyncio.sleep(0.001)
        await again(stage.broker, "mynah/memory/query/one")
        assert texts(await asked) == ["?"]
        await again(stage.broker, "mynah/memory/query/one")
        answers = [
            p for p in stage.broker.published if p.topic.startswith(bus.reply_topic) and b"memory.results" in p.payload
        ]
        assert part.asked == 1
        assert len(answers) == 2
        assert answers[0].payload == answers[1].payload
        assert bus.counters["late_answers"] == 1


async def test_late_double_and_unknown_answers_are_counted_and_ignored(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        request = await worker.heard()
        worker.answer(request, found("first"))
        assert texts(await asked) == ["first"]
        worker.answer(request, found("second"))
        worker.answer(
            replace(request, envelope=request.envelope.model_copy(update={"correlation_id": "x"})), found("?")
        )
        worker.answer(request, LlmDelta(delta="not an answer to this"))
        asked = asyncio.create_task(bus.request(MemoryQuery(text="next")))
        worker.answer(await worker.heard(), found("next"))
        assert texts(await asked) == ["next"]
        assert bus.counters["late_answers"] == 3


@pytest.mark.req("S05")
@pytest.mark.parametrize("topic", ["", "/tts", "/memory/tts", "x/memory"])
async def test_an_answer_on_the_topic_of_another_role_is_counted_and_ignored(broker, topic):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        request = await worker.heard()
        worker.answer(replace(request, reply_to=f"{bus.reply_topic}{topic}"), found("forged"))
        await asyncio.sleep(0.001)
        worker.answer(request, found("here"))
        assert texts(await asked) == ["here"]
        assert request.reply_to == f"{bus.reply_topic}/memory"


async def test_an_answer_that_does_not_fit_is_counted_and_ignored(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        request = await worker.heard()
        for payload in (b"", b"{", b'{"type": "no.such"}', b'{"type": "memory.results", "data": {"results": 1}}'):
            broker.publish(replace(broker.published[-1], topic=f"{bus.reply_topic}/memory", payload=payload))
        worker.answer(request, LlmResponse(reply="to another question"))
        worker.answer(request, found("here"))
        assert texts(await asked) == ["here"]
        assert bus.counters["bad_messages"] == 4


async def test_a_stream_gives_its_parts_and_then_its_reply(broker):
    async with puppet(broker, "one", LlmRequest) as worker, joined(broker, Role.SKILL) as bus:

        async def listen() -> list[str]:
            return [
                part.delta if isinstance(part, LlmDelta) else f"[{part.reply}]"
                async for part in bus.stream(LlmRequest(text="?"))
            ]

        asked = asyncio.create_task(listen())
        request = await worker.heard()
        for seq, word in enumerate(("one ", "two ", "three")):
            worker.answer(request, LlmDelta(delta=word, seq=seq))
        worker.answer(request, LlmResponse(reply="one two three"))
        assert await asked == ["one ", "two ", "three", "[one two three]"]
        assert bus.pending == 0


async def test_a_stream_whose_worker_goes_down_in_the_middle_fails_and_does_not_start_anew(broker):
    async with (
        puppet(broker, "one", LlmRequest) as one,
        puppet(broker, "two", LlmRequest) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        async with aclosing(bus.stream(LlmRequest(text="?"))) as parts:
            first = asyncio.create_task(anext(parts))
            one.answer(await one.heard(), LlmDelta(delta="so"))
            assert await first == LlmDelta(delta="so")
            one.health("down")
            with pytest.raises(RequestFailed) as failure:
                await anext(parts)
        assert failure.value.code == "worker_lost"
        assert bus.pending == 0
        with pytest.raises(TimeoutError):
            await two.heard(timeout=1)


async def test_the_parts_of_an_answer_come_from_one_worker_also_when_another_was_asked_before(broker):
    async with (
        puppet(broker, "one", LlmRequest) as one,
        puppet(broker, "two", LlmRequest) as two,
        joined(broker, Role.SKILL) as bus,
        aclosing(bus.stream(LlmRequest(text="?"))) as parts,
    ):
        first = asyncio.create_task(anext(parts))
        to_one = await one.heard()
        to_two = await two.heard()
        two.answer(to_two, LlmDelta(delta="two"))
        for late in (
            LlmDelta(delta="one"),
            Failed(code="engine", message="Not me."),
            Failed(code="queue_full", message="Nor me.", retryable=True),
            LlmResponse(reply="one"),
        ):
            one.answer(to_one, late)
        await asyncio.sleep(0.001)
        one.health("down")
        two.answer(to_two, LlmResponse(reply="two"))
        assert await first == LlmDelta(delta="two")
        assert [part async for part in parts] == [LlmResponse(reply="two")]


async def test_a_request_goes_back_to_the_worker_that_accepts_it_late_when_the_other_has_not(broker):
    async with (
        puppet(broker, "one", LlmRequest) as one,
        puppet(broker, "two", LlmRequest) as two,
        joined(broker, Role.SKILL) as bus,
        aclosing(bus.stream(LlmRequest(text="?"))) as parts,
    ):
        asked = asyncio.create_task(anext(parts))
        to_one = await one.heard()
        to_two = await two.heard()
        one.accept(to_one)
        await asyncio.sleep(1)
        two.health("down")
        two.answer(to_two, LlmDelta(delta="two"))
        one.answer(to_one, LlmDelta(delta="one"))
        assert await asked == LlmDelta(delta="one")
        assert [member.outstanding for member in bus.fleet.ready(Role.LLM, "llm.request")] == [1]


async def test_the_failure_of_a_worker_that_a_request_has_left_does_not_end_it(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        to_one = await one.heard()
        to_two = await two.heard()
        one.answer(to_one, Failed(code="engine", message="Not me."))
        await asyncio.sleep(0.001)
        two.answer(to_two, found("two"))
        assert texts(await asked) == ["two"]


async def test_a_whole_answer_is_good_from_whoever_gives_it_first(broker):
    async with (
        puppet(broker, "one", MemoryQuery) as one,
        puppet(broker, "two", MemoryQuery) as two,
        joined(broker, Role.SKILL) as bus,
    ):
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        to_one = await one.heard()
        two.accept(await two.heard())
        one.answer(to_one, found("one"))
        assert texts(await asked) == ["one"]


async def test_a_stream_whose_worker_goes_down_before_its_first_part_moves(broker):
    async with (
        puppet(broker, "one", LlmRequest) as one,
        puppet(broker, "two", LlmRequest) as two,
        joined(broker, Role.SKILL) as bus,
        aclosing(bus.stream(LlmRequest(text="?"))) as parts,
    ):
        first = asyncio.create_task(anext(parts))
        one.accept(await one.heard())
        one.health("down")
        two.answer(await two.heard(), LlmDelta(delta="so"))
        assert await first == LlmDelta(delta="so")


async def test_a_stream_that_is_left_early_leaves_nothing_pending(broker):
    async with puppet(broker, "one", LlmRequest) as worker, joined(broker, Role.SKILL) as bus:
        async with aclosing(bus.stream(LlmRequest(text="?"))) as parts:
            first = asyncio.create_task(anext(parts))
            worker.answer(await worker.heard(), LlmDelta(delta="so"))
            await first
            assert bus.pending == 1
        assert bus.pending == 0


def link_of(bus: object) -> MemoryLink:
    link = bus.link
    assert isinstance(link, MemoryLink)
    return link


async def test_what_was_asked_before_the_connection_was_lost_is_asked_again(broker):
    async with puppet(broker, "one", MemoryQuery) as worker, joined(broker, Role.SKILL) as bus:
        asked = asyncio.create_task(bus.request(MemoryQuery(text="?")))
        first = await worker.heard()
        worker.accept(first)
        link_of(bus).cut()
        again = await worker.heard()
        assert again.envelope.id == first.envelope.id
        worker.answer(again, found("here"))
        assert texts(await asked) == ["here"]


async def test_a_stream_fails_when_the_connection_is_lost_in_its_middle(broker):
    async with (
        puppet(broker, "one", LlmRequest) as worker,
        joined(broker, Role.SKILL) as bus,
        aclosing(bus.stream(LlmRequest(text="?"))) as parts,
    ):
        first = asyncio.create_task(anext(parts))
        worker.answer(await worker.heard(), LlmDelta(delta="so"))
        await first
        link_of(bus).cut()
        with pytest.raises(RequestFailed) as failure:
            await anext(parts)
        assert failure.value.code == "connection_lost"


async def test_a_role_may_not_ask_what_is_not_for_it_to_ask(broker):
    async with joined(broker, Role.TTS) as bus:
        with pytest.raises(TypeError, match=r"memory\.query is not for tts to send"):
            await bus.request(MemoryQuery(text="?"))
        assert bus.pending == 0


OUTSIDE = (
    "mynah/tts/say",
    "mynah/reply",
    "mynah/replyx/a",
    "reply/a",
    "mynah/reply/+/a",
    "mynah/reply/#",
    f"mynah/reply/{257 * 'a'}",
    "mynah/reply/guest/\x01",
    "mynah/reply/guest/\x7f",
    "mynah/reply/guest/\uffff",
)


@pytest.mark.parametrize("payload", [b'{"id": "1", "data": {"text": "x"}}', b"garbage"])
@pytest.mark.parametrize("reply_to", OUTSIDE)
async def test_a_request_with_a_reply_topic_outside_of_reply_is_not_done_and_never_answered(broker, reply_to, payload):
    part = Thorough()
    async with at_work(broker, member("one", part)):
        broker.publish(Packet("mynah/memory/query", payload, qos=1, response_topic=reply_to))
        await asyncio.sleep(10)
    assert part.asked == 0
    assert [packet.topic for packet in broker.published].count(reply_to) == 0
    (report,) = [orjson.loads(packet.payload)["data"] for packet in broker.published if "/error" in packet.topic]
    assert (report["code"], report["about"]) == ("bad_message", "memory.query")
    assert payload == b"garbage" or report["message"] == "Its reply topic does not lie below reply/."


async def test_a_reply_topic_below_reply_is_written_to(broker):
    async with at_work(broker, member("one", Thorough())):
        request = Packet("mynah/memory/query", b'{"data": {"text": "x"}}', qos=1, response_topic="mynah/reply/guest/1")
        broker.publish(request)
        await asyncio.sleep(10)
    assert [packet.topic for packet in broker.published].count("mynah/reply/guest/1") == 1
