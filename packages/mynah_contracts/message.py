"""What a message is: a typed payload whose declaration says all about its delivery.

Message
├── Command   do this                   QoS 1, one worker of the role
├── Event     this happened             QoS 1, everyone who listens
├── State     the latest value          QoS 1, retained, late joiners too
├── Stream    one of many small pieces  QoS 0, expires, oldest dropped when a listener lags
└── Frame     audio: the payload is the bytes, the other fields travel beside it; also a Command or an Event
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, StringConstraints

from mynah_contracts.roles import Role

TOPIC = re.compile(r"[a-z0-9_]+(/([a-z0-9_]+|\{[a-z_]+\}))+")
PARAMETER = re.compile(r"\{([a-z_]+)\}")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_-]{1,64}$")]
"""A word that may stand in a topic."""

CATALOGUE: dict[str, type["Message"]] = {}
"""Every declared message by its type, such as `stt.final`."""


class Kind(StrEnum):
    """How a message is delivered."""

    COMMAND = "command"
    EVENT = "event"
    STATE = "state"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Contract:
    """All that is declared about a message."""

    name: str
    """As the envelope says it, such as `stt.final`."""
    topic: str | None
    kind: Kind
    by: tuple[Role, ...]
    to: tuple[Role, ...]
    """Whom it is for. An event that answers somebody goes first to the one who is named first."""
    overheard_by: tuple[Role, ...]
    reply: type["Message"] | None
    parts: type["Message"] | None
    version: int
    qos: int
    retain: bool
    expires: int | None
    """Seconds after which an undelivered message is worthless."""
    body: str | None
    """The field that is the payload itself; the others then travel as its header."""
    parameters: tuple[str, ...]
    """Fields that stand in the topic."""

    @property
    def answers(self) -> tuple[type["Message"], ...]:
        """What a request may be answered with, short of a failure."""
        return tuple(answer for answer in (self.parts, self.reply) if answer is not None)


def _roles(roles: Role | Iterable[Role]) -> tuple[Role, ...]:
    return (roles,) if isinstance(roles, Role) else tuple(roles)


class Part(BaseModel):
    """Something inside a payload; unknown fields are forbidden when made and ignored when received."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Part):
    """A payload."""

    contract: ClassVar[Contract]
    kind: ClassVar[Kind]
    qos: ClassVar[int] = 1
    retain: ClassVar[bool] = False
    expires: ClassVar[int | None] = None
    framed: ClassVar[bool] = False

    def __init_subclass__(cls, **declaration: Any) -> None:  # pydantic hands the keywords on to the hook below
        super().__init_subclass__()

    @classmethod
    def __pydantic_init_subclass__(
        cls,
        *,
        topic: str | None = None,
        by: Role | Iterable[Role] = (),
        to: Role | Iterable[Role] = (),
        overheard_by: Role | Iterable[Role] = (),
        reply: "type[Message] | None" = None,
        parts: "type[Message] | None" = None,
        version: int = 1,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Enter the declaration into the catalogue; TypeError says what is wrong with it."""
        super().__pydantic_init_subclass__(**kwargs)
        if topic is None and name is None:
            return
        if not hasattr(cls, "kind"):
            raise TypeError(f"{cls.__name__}: no base says how it is delivered: Command, Event, State or Stream")
        if topic is not None and not TOPIC.fullmatch(topic):
            raise TypeError(f"{cls.__name__}: {topic!r} is not a topic")
        parameters = tuple(PARAMETER.findall(topic or ""))
        for parameter in parameters:
            if parameter not in cls.model_fields:
                raise TypeError(f"{cls.__name__}: the topic names {parameter!r}, which is no field")
        if reply is not None and cls.kind is not Kind.COMMAND:
            raise TypeError(f"{cls.__name__}: only a Command is replied to")
        bodies = [name for name, field in cls.model_fields.items() if field.annotation is bytes]
        if len(bodies) != int(cls.framed):
            raise TypeError(f"{cls.__name__}: a Frame has one field of bytes, other messages have none")
        word = name or re.sub(r"/\{[a-z_]+\}", "", topic or "").replace("/", ".")
        if word in CATALOGUE:
            raise TypeError(f"{cls.__name__}: {word!r} is already declared by {CATALOGUE[word].__name__}")
        cls.contract = Contract(
            name=word,
            topic=topic,
            kind=cls.kind,
            by=_roles(by),
            to=_roles(to),
            overheard_by=_roles(overheard_by),
            reply=reply,
            parts=parts,
            version=version,
            qos=cls.qos,
            retain=cls.retain,
            expires=cls.expires,
            body=bodies[0] if bodies else None,
            parameters=parameters,
        )
        CATALOGUE[word] = cls

    @property
    def topic(self) -> str:
        """The topic below the base, its parameters filled in."""
        contract = self.contract
        if contract.topic is None:
            raise TypeError(f"{type(self).__name__} travels on reply topics only")
        if not contract.parameters:
            return contract.topic
        return contract.topic.format(**{name: getattr(self, name) for name in contract.parameters})

    @classmethod
    def received(cls, data: Any) -> Self:
        """The message in what was received; ValidationError if it does not fit."""
        message: Self = cls.__pydantic_validator__.validate_python(data, extra="ignore")
        return message

    def header(self) -> dict[str, Any]:
        """The fields as JSON values, without the one that is the payload itself."""
        body = self.contract.body
        fields: dict[str, Any] = self.__pydantic_serializer__.to_python(
            self, mode="json", exclude={body} if body else None
        )
        return fields


class Command(Message):
    """Do this: goes to one worker of the role."""

    kind = Kind.COMMAND


class Event(Message):
    """This happened: goes to everyone who listens."""

    kind = Kind.EVENT


class State(Message):
    """The latest value: retained, so that late joiners hear it too."""

    kind = Kind.STATE
    retain = True


class Stream(Message):
    """One of many small pieces: may be lost, is dropped when old."""

    kind = Kind.STREAM
    qos = 0
    expires = 10


class Frame(Message):
    """Audio: the payload is the bytes, the other fields travel in an MQTT 5 user property.

    The first of two bases, as in `class Speech(Frame, Event, …)`: the other one says how it is delivered.
    """

    framed = True
    qos = 0
    expires = 10
