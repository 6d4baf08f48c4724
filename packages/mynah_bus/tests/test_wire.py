"""Messages to packets and back; of what does not fit only BadMessage comes."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mynah_bus import BadMessage, Context
from mynah_bus.packet import Packet
from mynah_bus.tests.garbage import HEADERS, HOSTILE, PAYLOADS, damaged
from mynah_bus.wire import decode, encode, message_type, peek
from mynah_contracts import (
    CATALOGUE,
    HEADER,
    CharacterUpdate,
    Failed,
    Health,
    MemoryQuery,
    Message,
    Say,
    Speech,
    Transcribe,
    Transcript,
)
from mynah_contracts.tests.strategies import messages

every_message = pytest.mark.parametrize("declared", CATALOGUE.values(), ids=CATALOGUE)
CONTEXT = Context(turn="t1", session="s1", traceparent="00-1-2-01", priority=2)


def on_the_wire(message: Message, **more: object) -> Packet:
    topic = "mynah/reply/guest/1" if message.contract.topic is None else f"mynah/{message.topic}"
    return encode(message, topic=topic, source="stt/1", context=CONTEXT, **more)


@pytest.mark.req("MQ-06")
@every_message
@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_contract_roundtrip_through_a_packet(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    packet = on_the_wire(message, correlation_id="c1", reply_to="mynah/reply/guest/1", identifier="i1")
    for expected in (declared, None):
        received = decode(packet, expected)
        assert received.message == message
        envelope = received.envelope
        assert (envelope.id, envelope.type, envelope.v) == ("i1", declared.contract.name, declared.contract.version)
        assert (envelope.turn, envelope.session, envelope.correlation_id) == ("t1", "s1", "c1")
        assert (envelope.source, envelope.priority, envelope.traceparent) == ("stt/1", 2, "00-1-2-01")
        assert received.reply_to == "mynah/reply/guest/1"


@every_message
@settings(max_examples=2, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_packet_is_delivered_as_the_contract_says(declared: type[Message], data: st.DataObject) -> None:
    packet = on_the_wire(data.draw(messages(declared)))
    contract = declared.contract
    assert (packet.qos, packet.retain, packet.expires) == (contract.qos, contract.retain, contract.expires)
    assert bool(packet.properties) == (contract.body is not None)


@every_message
@settings(max_examples=2, deadline=None, derandomize=True)
@given(data=st.data())
def test_the_topic_tells_the_type(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    if declared.contract.topic is not None:
        assert message_type(message.topic) is declared


@pytest.mark.parametrize("topic", ["memory/query/one", "memory/query"])
def test_a_command_comes_on_its_own_topic_and_on_that_of_a_worker(topic: str) -> None:
    assert message_type(topic) is MemoryQuery


@pytest.mark.parametrize("topic", ["", "memory", "memory/query/one/two", "stt/final/one", "no/such"])
def test_other_topics_carry_nothing(topic: str) -> None:
    assert message_type(topic) is None


def typed(payload: object) -> Packet:
    """A packet as somebody writes it by hand."""
    return Packet("mynah/memory/query", payload if isinstance(payload, bytes) else orjson.dumps(payload))


def test_a_payload_without_its_envelope_is_understood() -> None:
    received = decode(typed({"text": "tea", "top_k": 2}), MemoryQuery)
    assert received.message == MemoryQuery(text="tea", top_k=2)
    assert received.envelope.id == ""


def test_a_payload_with_a_field_called_type_is_no_envelope() -> None:
    packet = Packet("mynah/wake/event", b'{"type": "wake", "satellite": "kitchen"}')
    received = decode(packet, CATALOGUE["wake.event"])
    assert received.message.model_dump(include={"type", "satellite"}) == {"type": "wake", "satellite": "kitchen"}


def test_missing_envelope_fields_get_defaults() -> None:
    received = decode(typed({"data": {"text": "tea"}}), MemoryQuery)
    assert (received.envelope.priority, received.envelope.v, received.reply_to) == (3, 1, None)


def test_an_mqtt_3_client_gives_reply_to_and_correlation_id_in_the_json() -> None:
    payload = {"reply_to": "mynah/reply/guest/1", "correlation_id": "c9", "data": {"text": "tea"}}
    received = decode(typed(payload), MemoryQuery)
    assert (received.reply_to, received.envelope.correlation_id) == ("mynah/reply/guest/1", "c9")


def test_mqtt_5_properties_win_over_the_json() -> None:
    payload = {"reply_to": "mynah/reply/guest/1", "data": {"text": "tea"}}
    packet = replace(typed(payload), response_topic="mynah/reply/guest/2", correlation=b"\xff\x00")
    received = decode(packet, MemoryQuery)
    assert (received.reply_to, received.correlation) == ("mynah/reply/guest/2", b"\xff\x00")


def test_unknown_fields_are_ignored() -> None:
    received = decode(typed({"id": "1", "new": 1, "data": {"text": "tea", "newer": 2}}), MemoryQuery)
    assert received.message == MemoryQuery(text="tea")


def test_a_frame_is_its_bytes_with_its_header_beside_it() -> None:
    spoken = Speech(audio=b"\x01\x02", satellite="kitchen", n=3, last=True)
    packet = on_the_wire(spoken)
    assert packet.payload == b"\x01\x02"
    ((name, header),) = packet.properties
    assert name == HEADER
    assert orjson.loads(header)["data"] == {
        "satellite": "kitchen", "n": 3, "seq": 0, "last": True, "sentences": 0, "sample_rate": 16_000,
    }  # fmt: skip


@pytest.mark.parametrize("turn", ["\x01", "\x7f", "\x85", "\ufdd0", "\uffff", "\U0001fffe"])
def test_what_mqtt_forbids_in_a_header_is_written_in_another_way(turn: str) -> None:
    context = Context(turn=turn)
    packet = encode(Speech(audio=b"", satellite="kitchen"), topic="mynah/x", source="tts/1", context=context)
    assert packet.properties[0][1].isprintable()
    assert decode(packet, Speech).envelope.turn == turn


def test_a_frame_without_a_header_is_a_recording() -> None:
    received = decode(Packet("mynah/stt/transcribe", b"RIFF"), Transcribe)
    assert received.message == Transcribe(audio=b"RIFF")


def test_a_guest_gives_fields_of_a_frame_as_plain_user_properties() -> None:
    properties = (("language", "de"), ("satellite", "kitchen"), ("unknown", "x"))
    received = decode(Packet("mynah/stt/transcribe", b"RIFF", properties=properties), Transcribe)
    assert received.message == Transcribe(audio=b"RIFF", language="de", satellite="kitchen")


def test_a_frame_may_not_bring_its_bytes_in_its_header() -> None:
    packet = Packet("mynah/stt/transcribe", b"payload", properties=((HEADER, '{"data": {"audio": "header"}}'),))
    assert decode(packet, Transcribe).message == Transcribe(audio=b"payload")


@pytest.mark.parametrize("payload", HOSTILE.values(), ids=HOSTILE)
def test_what_does_not_fit_is_a_bad_message_of_one_sentence(payload: bytes) -> None:
    with pytest.raises(BadMessage) as refusal:
        decode(typed(payload), MemoryQuery)
    assert str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


LONG_KEY = "x" * 70_000


@pytest.mark.req("S05")
@pytest.mark.parametrize("key", ["x\nrouter/1 │ down\x1b[31m", LONG_KEY, f"{LONG_KEY}\n", "a b", ""])
def test_the_names_that_others_give_are_quoted_and_cut(key: str) -> None:
    with pytest.raises(BadMessage) as refusal:
        decode(Packet("mynah/character/update", orjson.dumps({"data": {"traits": {key: "much"}}})), CharacterUpdate)
    assert str(refusal.value).isprintable()
    assert len(str(refusal.value)) < 200
    assert f"traits.{key[:3]!r}"[:-1] in str(refusal.value)


def test_a_type_that_does_not_fit_its_topic_is_quoted() -> None:
    with pytest.raises(BadMessage, match=r"^The topic carries memory\.query, not 'a\\nb'\.$"):
        decode(typed({"type": "a\nb", "data": {"text": "x"}, "v": 1}), MemoryQuery)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", '"nan"', '"Infinity"', "1e400"])
def test_a_number_that_is_none_does_not_come_in(value: str) -> None:
    with pytest.raises(BadMessage):
        decode(Packet("mynah/stt/final", b'{"data": {"text": "x", "audio_ms": %s}}' % value.encode()), Transcript)


def test_of_two_fields_with_one_name_the_last_counts() -> None:
    assert decode(typed(b'{"data": {"text": "a", "text": "b"}}'), MemoryQuery).message == MemoryQuery(text="b")


def test_a_newer_version_has_a_code_of_its_own() -> None:
    with pytest.raises(BadMessage) as refusal:
        decode(typed(HOSTILE["a newer version"]), MemoryQuery)
    assert refusal.value.code == "unsupported_version"


def test_of_what_does_not_fit_the_envelope_is_read_as_far_as_it_can_be() -> None:
    assert peek(typed({"turn": "t1", "correlation_id": "c1", "data": {"text": 5}})).turn == "t1"
    assert peek(typed(b"garbage")).turn is None
    assert peek(replace(typed(b""), properties=((HEADER, "garbage"),))).turn is None


def outcome(packet: Packet, declared: type[Message] | None) -> str:
    """How a packet is understood: `message`, or the code of its refusal."""
    peek(packet)
    try:
        received = decode(packet, declared)
    except BadMessage as refusal:
        return refusal.code
    encode(received.message, topic="mynah/y", source="x", context=Context())  # what came in can go out again
    return "message"


@pytest.mark.req("MQ-17")
@settings(max_examples=500, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    payload=PAYLOADS,
    properties=st.just(()) | HEADERS,
    declared=st.sampled_from([MemoryQuery, Transcribe, Speech, Say, Failed, Health, Transcript, None]),
)
def test_of_ten_thousand_hostile_packets_each_is_a_message_or_a_bad_message(
    payload: bytes, properties: tuple[tuple[str, str], ...], declared: type[Message] | None
) -> None:
    for each in damaged(payload, 20):
        packet = Packet("mynah/x", each, properties=properties)
        assert outcome(packet, declared) in {"message", "bad_message", "unsupported_version"}


def test_an_answer_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(BadMessage, match="Unknown type"):
        decode(Packet("mynah/reply/x", b'{"type": "no.such", "data": {}}'), None)
