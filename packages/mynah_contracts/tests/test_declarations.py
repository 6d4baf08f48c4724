"""A wrong declaration is refused with a sentence that says what is wrong."""

from collections.abc import Iterator

import pytest

from mynah_contracts import CATALOGUE, Answer, Command, Event, Frame, Kind, Message, Role, State, Stream


@pytest.fixture(autouse=True)
def catalogue() -> Iterator[dict[str, type[Message]]]:
    """What a test declares is forgotten again."""
    before = dict(CATALOGUE)
    yield before
    CATALOGUE.clear()
    CATALOGUE.update(before)


@pytest.mark.parametrize(
    "topic",
    [
        "word",
        "Upper/case",
        "a/b/",
        "/a/b",
        "a//b",
        "a/+",
        "a/#",
        "a/b c",
        "$SYS/a",
        "a/{B}",
        "a/{b}c",
        "ä/b",
        "a/b\n",
        "",
    ],
)
def test_a_topic_is_words_with_slashes_between_them(topic: str) -> None:
    with pytest.raises(TypeError, match=r"^Wrong: .* is not a topic$"):

        class Wrong(Event, topic=topic, by=Role.STT, to=Role.ROUTER):
            """Something."""

            b: str = ""


def test_what_stands_in_a_topic_is_a_field() -> None:
    with pytest.raises(TypeError, match=r"^Wrong: the topic names 'place', which is no field$"):

        class Wrong(Event, topic="a/{place}", by=Role.STT, to=Role.ROUTER):
            """Something."""


@pytest.mark.parametrize("kind", [Event, State, Stream])
def test_only_a_command_is_replied_to(kind: type[Message]) -> None:
    with pytest.raises(TypeError, match=r"^Wrong: only a Command is replied to$"):

        class Wrong(kind, topic="test/wrong", by=Role.STT, to=Role.ROUTER, reply=Answer):
            """Something."""


def test_a_frame_has_its_bytes() -> None:
    with pytest.raises(TypeError, match=r"^Wrong: a Frame has one field of bytes, other messages have none$"):

        class Wrong(Frame, Event, topic="test/wrong", by=Role.STT, to=Role.ROUTER):
            """Something."""


def test_a_frame_has_one_field_of_bytes_only() -> None:
    with pytest.raises(TypeError, match=r"^Wrong: a Frame has one field of bytes, other messages have none$"):

        class Wrong(Frame, Event, topic="test/wrong", by=Role.STT, to=Role.ROUTER):
            """Something."""

            left: bytes
            right: bytes


@pytest.mark.parametrize("base", [Frame, Message])
def test_a_message_says_how_it_is_delivered(base: type[Message]) -> None:
    with pytest.raises(TypeError, match=r"^Wrong: no base says how it is delivered: Command, Event, State or Stream$"):

        class Wrong(base, topic="test/wrong", by=Role.STT, to=Role.ROUTER):
            """Something."""

            sound: bytes


@pytest.mark.parametrize("kind", [Command, Event])
def test_a_frame_is_delivered_as_its_other_base_is(kind: type[Message]) -> None:
    class Right(Frame, kind, topic="test/right", by=Role.STT, to=Role.ROUTER):
        """Something."""

        sound: bytes

    assert Right.contract.kind is kind.kind
    assert (Right.contract.qos, Right.contract.expires) == (0, 10)


@pytest.mark.parametrize("kind", [Command, Event, State, Stream])
def test_bytes_do_not_go_into_json(kind: type[Message]) -> None:
    with pytest.raises(TypeError, match=r"^Wrong: a Frame has one field of bytes, other messages have none$"):

        class Wrong(kind, topic="test/wrong", by=Role.STT, to=Role.ROUTER):
            """Something."""

            sound: bytes


@pytest.mark.parametrize("declared", CATALOGUE.values(), ids=CATALOGUE)
def test_a_message_is_declared_once(declared: type[Message]) -> None:
    name, topic = declared.contract.name, declared.contract.topic
    with pytest.raises(TypeError, match=f"^Wrong: '{name}' is already declared by {declared.__name__}$"):

        class Wrong(Event, topic=topic, name=name, by=Role.STT, to=Role.ROUTER):
            """Something."""

            satellite: str = ""
            service: str = ""
            instance: str = ""
            name: str = ""


def test_what_is_refused_is_not_in_the_catalogue(catalogue: dict[str, type[Message]]) -> None:
    with pytest.raises(TypeError):

        class Wrong(Event, topic="test/wrong", by=Role.STT, to=Role.ROUTER, reply=Answer):
            """Something."""

    assert catalogue == CATALOGUE


@pytest.mark.parametrize(
    ("kind", "delivery", "qos", "retain"),
    [
        (Command, Kind.COMMAND, 1, False),
        (Event, Kind.EVENT, 1, False),
        (State, Kind.STATE, 1, True),
        (Stream, Kind.STREAM, 0, False),
    ],
)
def test_the_kind_is_the_delivery(kind: type[Message], delivery: Kind, qos: int, *, retain: bool) -> None:
    class Right(kind, topic="test/right", by=Role.STT, to=(Role.ROUTER, Role.TTS)):
        """Something."""

        text: str = ""

    contract = Right.contract
    assert CATALOGUE["test.right"] is Right
    assert (contract.kind, contract.qos, contract.retain, contract.body) == (delivery, qos, retain, None)
    assert (contract.by, contract.to, contract.overheard_by) == ((Role.STT,), (Role.ROUTER, Role.TTS), ())
    assert Right(text="x").topic == "test/right"


def test_a_frame_travels_beside_its_header() -> None:
    class Right(Frame, Event, topic="test/{place}/right", by=Role.STT, to=Role.TTS):
        """Something."""

        sound: bytes
        place: str

    message = Right(sound=b"\0", place="kitchen")
    assert message.contract.name == "test.right"
    assert message.contract.body == "sound"
    assert message.topic == "test/kitchen/right"
    assert message.header() == {"place": "kitchen"}
