"""Messages to packets and back: the envelope is JSON, a frame's payload is its bytes."""

import json
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from pydantic import ValidationError

from mynah_bus.context import Context, new_id
from mynah_bus.errors import BadMessage
from mynah_bus.logs import printable
from mynah_bus.packet import Packet
from mynah_contracts import CATALOGUE, HEADER, Envelope, Kind, Message

MANY = 100
"""Errors of a message above which it would take long to look at them."""
LONGEST_NAME = 40
"""Characters of a name that somebody else gave which are shown."""

_PARAMETER = re.compile(r"\\\{[a-z_]+\\\}")
_MARKS = frozenset(Envelope.model_fields) - {"type"}
"""Fields by which an envelope is known; payloads have a `type` too."""


@dataclass(slots=True)
class Received:
    """A message that has arrived."""

    message: Message
    envelope: Envelope
    reply_to: str | None = None
    correlation: bytes | None = None
    """MQTT 5 correlation data, echoed as it came."""
    retained: bool = False
    expires: int | None = None
    """Seconds, from now, after which its sender does not want it any more."""


@lru_cache(maxsize=4096)
def message_type(topic: str) -> type[Message] | None:
    """The message that a topic below the base carries; a command's topic may end with a worker's instance."""
    for declared in CATALOGUE.values():
        contract = declared.contract
        if contract.topic is None:
            continue
        pattern = _PARAMETER.sub("[^/]+", re.escape(contract.topic))
        if contract.kind is Kind.COMMAND:
            pattern += "(/[^/]+)?"
        if re.fullmatch(pattern, topic):
            return declared
    return None


def encode(
    message: Message,
    *,
    topic: str,
    source: str,
    context: Context,
    identifier: str | None = None,
    correlation_id: str | None = None,
    reply_to: str | None = None,
) -> Packet:
    """The packet that carries a message; `topic` is the whole one."""
    contract = message.contract
    envelope: dict[str, Any] = {
        "id": identifier or new_id(),
        "type": contract.name,
        "v": contract.version,
        "ts": time.time(),
        "source": source,
    }
    if correlation_id is not None:
        envelope["correlation_id"] = correlation_id
    if context.turn is not None:
        envelope["turn"] = context.turn
    if context.session is not None:
        envelope["session"] = context.session
    if reply_to is not None:
        envelope["reply_to"] = reply_to
    if context.priority != 3:  # noqa: PLR2004  # the default of the envelope
        envelope["priority"] = context.priority
    if context.traceparent is not None:
        envelope["traceparent"] = context.traceparent
    properties: tuple[tuple[str, str], ...] = ()
    if contract.body is None:
        envelope["data"] = orjson.Fragment(message.__pydantic_serializer__.to_json(message))
        payload = orjson.dumps(envelope)
    else:
        envelope["data"] = message.header()
        payload = getattr(message, contract.body)
        properties = ((HEADER, _printable(envelope)),)
    return Packet(topic, payload, contract.qos, contract.retain, contract.expires, properties=properties)


def decode(packet: Packet, declared: type[Message] | None) -> Received:
    """The message in a packet; `declared` is what its topic carries, None on a reply topic.

    Raises BadMessage with one sentence that says what does not fit.
    """
    header = _header(packet)
    try:
        if header is not None:
            envelope = _validated(orjson.loads(header))
        elif declared is not None and declared.contract.body is not None:
            envelope = Envelope()
        else:
            envelope = _envelope_inside(packet.payload)
    except ValidationError as error:
        raise BadMessage(f"The envelope does not fit: {_reason(error)}") from error
    except orjson.JSONDecodeError as error:
        raise BadMessage(f"Not JSON: {error}") from error
    declared = _agreed(declared, envelope)
    data = {} if envelope.data is None else envelope.data
    body = declared.contract.body
    if body is not None and isinstance(data, dict):
        if header is None or len(packet.properties) > 1:
            data.update(_by_hand(packet, declared))
        data[body] = packet.payload
    try:
        message = declared.received(data)
    except ValidationError as error:
        raise BadMessage(f"{declared.contract.name} does not fit: {_reason(error)}") from error
    reply_to = packet.response_topic or envelope.reply_to
    return Received(message, envelope, reply_to, packet.correlation, packet.retain, packet.expires)


def peek(packet: Packet) -> Envelope:
    """The envelope of a packet whose payload did not fit, as far as it can be read."""
    header = _header(packet)
    try:
        return _envelope_inside(packet.payload) if header is None else _validated(orjson.loads(header))
    except (ValidationError, orjson.JSONDecodeError):
        return Envelope()


def _printable(envelope: dict[str, Any]) -> str:
    """An envelope as JSON without the characters that MQTT forbids; what a guest calls its turn may hold them."""
    header = orjson.dumps(envelope).decode()
    return header if header.isprintable() else json.dumps(envelope)


def _header(packet: Packet) -> str | None:
    for name, value in packet.properties:
        if name == HEADER:
            return value
    return None


def _envelope_inside(payload: bytes) -> Envelope:
    if not payload:
        return Envelope()
    raw = orjson.loads(payload)
    if isinstance(raw, dict) and _MARKS.isdisjoint(raw):
        return Envelope(data=raw)  # a payload without its envelope, as people write it by hand
    return _validated(raw)


def _validated(raw: Any) -> Envelope:
    envelope: Envelope = Envelope.__pydantic_validator__.validate_python(raw)
    return envelope


def _by_hand(packet: Packet, declared: type[Message]) -> dict[str, str]:
    """Fields of a frame that a guest gave as plain user properties."""
    fields = declared.model_fields
    return {name: value for name, value in packet.properties if name in fields}


def _agreed(declared: type[Message] | None, envelope: Envelope) -> type[Message]:
    if declared is None:
        named = CATALOGUE.get(envelope.type)
        if named is None:
            raise BadMessage(f"Unknown type {envelope.type!r}.")
        declared = named
    elif envelope.type and envelope.type != declared.contract.name:
        raise BadMessage(f"The topic carries {declared.contract.name}, not {envelope.type!r}.")
    if envelope.v > declared.contract.version:
        raise BadMessage(
            f"{declared.contract.name} {envelope.v} is newer than {declared.contract.version}, the version known here.",
            code="unsupported_version",
        )
    return declared


def _reason(error: ValidationError) -> str:
    if error.error_count() > MANY:
        return f"{error.error_count()} things are wrong"
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(_named(str(part)) for part in first["loc"])
    return printable(f"{where}: {first['msg']}" if where else first["msg"])


def _named(key: str) -> str:
    """A field or an index as it is; what others call their entries quoted and cut."""
    return key if len(key) <= LONGEST_NAME and (key.isidentifier() or key.isdecimal()) else repr(key[:LONGEST_NAME])
