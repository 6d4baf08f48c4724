"""What holds for every message that is declared, none left out."""

import itertools
import re
from typing import Annotated, Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from mynah_contracts import CATALOGUE, Command, Envelope, Frame, Kind, Message, Name, Role, State, Stream
from mynah_contracts.tests.leaves import boundless, leaves, minimal, models, planted
from mynah_contracts.tests.strategies import ANY_JSON, fields, messages

repeatedly = settings(max_examples=25, deadline=None, derandomize=True)
once = settings(max_examples=3, deadline=None, derandomize=True)
every_message = pytest.mark.parametrize("declared", CATALOGUE.values(), ids=CATALOGUE)


MODELS = {Envelope}.union(*(models(declared) for declared in CATALOGUE.values()))
every_model = pytest.mark.parametrize("model", sorted(MODELS, key=lambda model: model.__name__))


def through_the_wire(message: Message) -> Message:
    """What arrives of a message: its header in an envelope in JSON, and the payload that is none."""
    body = message.contract.body
    sent = orjson.dumps(Envelope(id="1", type=message.contract.name, data=message.header()).model_dump(mode="json"))
    received = Envelope.model_validate(orjson.loads(sent))
    return CATALOGUE[received.type].received(received.data | ({body: getattr(message, body)} if body else {}))


@every_message
@pytest.mark.req("MQ-06")
@repeatedly
@given(data=st.data())
def test_contract_roundtrip(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    assert through_the_wire(message) == message


@every_message
@pytest.mark.req("MQ-06")
@once
@given(data=st.data())
def test_contract_roundtrip_in_one_step(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    if message.contract.body is None:
        assert declared.model_validate_json(message.model_dump_json()) == message


@every_message
@once
@given(data=st.data())
def test_unknown_fields_are_ignored_when_received_and_forbidden_when_made(
    declared: type[Message], data: st.DataObject
) -> None:
    values = data.draw(fields(declared))
    assert declared.received(values | {"from_a_newer_worker": 1}) == declared(**values)
    with pytest.raises(ValidationError, match="from_a_newer_worker"):
        declared(**values, from_a_newer_worker=1)


@every_message
@once
@given(data=st.data())
def test_a_message_cannot_be_changed(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    for name in declared.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(message, name, getattr(message, name))


@every_model
@pytest.mark.req("F25")
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf"), "NaN", "Infinity"])
def test_what_is_no_number_is_refused(model: type[BaseModel], wrong: Any) -> None:
    for name, field in model.model_fields.items():
        for value in planted(field.annotation, float, wrong):
            with pytest.raises(ValidationError, match=name):
                model(**minimal(model) | {name: value})


@every_model
@pytest.mark.req("F25")
def test_a_whole_number_that_cannot_be_sent_on_is_refused(model: type[BaseModel]) -> None:
    arrived = orjson.loads(str(10**30))
    for name, field in model.model_fields.items():
        for value in planted(field.annotation, int, arrived):
            with pytest.raises(ValidationError, match=name):
                model(**minimal(model) | {name: value})


@every_model
@pytest.mark.req("MQ-16")
def test_it_is_typed_to_its_last_leaf(model: type[BaseModel]) -> None:
    if model is not Envelope:  # whose payload is known by its topic
        for name, field in model.model_fields.items():
            assert not {Any, object, dict, list} & leaves(field.annotation), name


@every_message
@pytest.mark.req("F25", "MQ-17")
@repeatedly
@given(data=st.data())
def test_what_does_not_fit_is_refused_and_what_fits_can_be_sent_on(
    declared: type[Message], data: st.DataObject
) -> None:
    garbage = data.draw(st.dictionaries(st.sampled_from([*declared.model_fields, "x"]), ANY_JSON) | ANY_JSON)
    if isinstance(garbage, dict) and data.draw(st.booleans()):
        garbage = data.draw(fields(declared)) | garbage
    try:
        message = declared.received(garbage)
    except ValidationError:
        return
    assert through_the_wire(message) == message


@every_message
@pytest.mark.req("F25")
def test_nothing_that_a_guest_sends_is_boundless(declared: type[Message]) -> None:
    if Role.GUEST in declared.contract.by:
        assert list(boundless(declared.model_json_schema())) == []


def test_what_is_boundless_is_found() -> None:
    class Loose(BaseModel):
        text: str | None
        texts: list[Annotated[str, Field(max_length=2)]]
        numbers: dict[str, int]
        name: Name
        kind: Literal["a", "b"]

    assert list(boundless(Loose.model_json_schema())) == ["text", "texts", "numbers", "numbers"]


@every_message
def test_it_says_what_it_is(declared: type[Message]) -> None:
    assert declared.__doc__ is not None
    assert declared.__doc__ != Message.__doc__
    assert re.fullmatch(r"[A-Z].*[.?!]", declared.__doc__), "a sentence on one line"


@every_message
def test_it_has_somebody_who_sends_it_and_somebody_who_hears_it(declared: type[Message]) -> None:
    contract = declared.contract
    assert set(contract.by) <= set(Role)
    assert contract.by
    assert set(contract.to) <= set(Role)
    assert contract.to
    assert not set(contract.overheard_by) & set(contract.to)


@every_message
def test_its_topic_is_a_topic_that_only_it_has(declared: type[Message]) -> None:
    topic = declared.contract.topic
    if topic is None:
        answered = [other for other in CATALOGUE.values() if other.contract.kind is Kind.COMMAND]
        assert answered, f"{declared.__name__} travels on reply topics only, and nobody asks for anything"
        return
    assert re.fullmatch(r"[a-z_]+(/([a-z_]+|\{[a-z_]+\}))+", topic)
    assert not topic.startswith("reply/")
    for other in CATALOGUE.values():
        if other is not declared and other.contract.topic is not None:
            assert not _overlap(_filters(declared), _filters(other)), other


@every_message
@pytest.mark.parametrize("injected", ["a/b", "+", "#", "", "$SYS", "ä", "a b", "a\n"])
def test_a_word_of_its_topic_cannot_be_more_than_a_word(declared: type[Message], injected: str) -> None:
    for name in declared.contract.parameters:
        with pytest.raises(ValidationError, match=name):
            declared(**minimal(declared) | {name: injected})


@every_message
@once
@given(data=st.data())
def test_its_topic_is_filled_from_its_fields(declared: type[Message], data: st.DataObject) -> None:
    message = data.draw(messages(declared))
    if declared.contract.topic is None:
        with pytest.raises(TypeError, match="reply topics only"):
            _ = message.topic
    else:
        assert re.fullmatch(re.sub(r"\{[a-z_]+\}", "[a-z0-9_-]+", declared.contract.topic), message.topic)


@every_message
def test_its_kind_is_its_delivery(declared: type[Message]) -> None:
    contract = declared.contract
    assert contract.qos in {0, 1}
    assert contract.retain is issubclass(declared, State)
    assert (contract.kind is Kind.COMMAND) is issubclass(declared, Command)
    assert (contract.kind is Kind.STREAM) is issubclass(declared, Stream)
    assert (contract.body is not None) is issubclass(declared, Frame)
    assert contract.qos == 1 or contract.expires is not None, "what may be lost may also be late"
    assert contract.version >= 1


@every_message
def test_who_handles_a_command_may_send_its_answers(declared: type[Message]) -> None:
    contract = declared.contract
    assert contract.parts is None or contract.reply is not None
    for answer in contract.answers:
        assert set(contract.to) <= set(answer.contract.by)
        assert answer.contract.kind is not Kind.COMMAND
    if contract.kind is Kind.COMMAND:
        assert contract.reply is not None
        assert len(contract.to) == 1, "one worker does it"


def _filters(declared: type[Message]) -> list[list[str]]:
    """The topics on which a message is heard, as words; a command's ends with a worker's instance as well."""
    assert declared.contract.topic is not None
    words = re.sub(r"\{[a-z_]+\}", "+", declared.contract.topic).split("/")
    return [words, [*words, "+"]] if declared.contract.kind is Kind.COMMAND else [words]


def _overlap(ours: list[list[str]], theirs: list[list[str]]) -> bool:
    return any(
        len(a) == len(b) and all(x == y or "+" in {x, y} for x, y in zip(a, b, strict=True))
        for a, b in itertools.product(ours, theirs)
    )
