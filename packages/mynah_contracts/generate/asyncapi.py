"""The catalogue as an AsyncAPI 3.0 document: channels, who sends and hears what, and every payload."""

from collections.abc import Iterator
from typing import Any, Final

from mynah_contracts import HEADER, Accepted, Envelope, Failed, Kind, Message, Role
from mynah_contracts.generate import BASE
from mynah_contracts.generate.schemas import Schema, body_of, component_schemas, every_message, remarks

REPLY: Final = "reply"
DIRECTED: Final = "directed"
MQTT: Final = {"bindingVersion": "0.2.0"}

INFO: Final = """\
Workers of a voice assistant talk over an MQTT 5 broker. Topics are given with the default base, `mynah`.

A payload is an envelope in JSON, whose `data` is what is described for each message. Fields that are missing get their
defaults; fields that are unknown are ignored by who receives them, and not sent. A frame's payload is the bytes of its
audio; its envelope travels beside it, as the MQTT 5 user property `mynah`.

A request names the topic for its answer as MQTT 5 response topic, and gets its correlation data back. The topic is
`mynah/reply/<user>/<instance>/<role that answers>`, of a guest any below `mynah/reply/guest/`. An MQTT 3.1.1 client
writes `reply_to` and `correlation_id` into the envelope instead. A command without either is answered on the topic of
its answer."""


def document() -> dict[str, Any]:
    """AsyncAPI 3.0.0, as JSON values."""
    messages = every_message()
    references, schemas = component_schemas((*messages, Envelope), "#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mynah",
            "version": f"{max(message.contract.version for message in messages)}.0.0",
            "description": INFO,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "broker": {
                "host": "127.0.0.1:1883",
                "protocol": "mqtt",
                "protocolVersion": "5.0",
                "security": [{"$ref": "#/components/securitySchemes/user"}],
            }
        },
        "channels": dict(_channels()),
        "operations": dict(_operations()),
        "components": {
            "messages": {message.contract.name: _message(message, references) for message in messages},
            "schemas": schemas,
            "operationBindings": {message.contract.name: {"mqtt": _delivery(message)} for message in messages},
            "replies": {message.contract.name: _reply(message) for message in messages if message.contract.answers},
            "securitySchemes": {
                "user": {"type": "userPassword", "description": "A user for each role, who may do what is said here."}
            },
            "correlationIds": {
                "request": {
                    "description": "MQTT 5 correlation data, which comes back with the answer.",
                    "location": "$message.header#/correlationData",
                }
            },
        },
    }


def _channels() -> Iterator[tuple[str, dict[str, Any]]]:
    for message in every_message():
        contract = message.contract
        if contract.topic is None:
            continue
        channel: dict[str, Any] = {
            "address": f"{BASE}/{contract.topic}",
            "description": message.__doc__,
            "messages": {contract.name: {"$ref": f"#/components/messages/{contract.name}"}},
        }
        parameters = {name: _parameter(message, name) for name in contract.parameters}
        yield contract.name, channel | ({"parameters": parameters} if parameters else {})
        if contract.kind is Kind.COMMAND:
            worker = {"description": "The worker that is to do it, by the name in its health."}
            yield (
                f"{contract.name}.{DIRECTED}",
                channel
                | {"address": f"{channel['address']}/{{instance}}", "parameters": {**parameters, "instance": worker}},
            )
    yield (
        REPLY,
        {
            "address": None,
            "description": f"The topic that a request names for its answer, below `{BASE}/reply/<user>/`.",
            "messages": {
                message.contract.name: {"$ref": f"#/components/messages/{message.contract.name}"}
                for message in _every_answer()
            },
        },
    )


def _parameter(message: type[Message], name: str) -> dict[str, Any]:
    described: dict[str, Any] = {"description": remarks(message).get(name, f"The field `{name}`.")}
    if message.model_fields[name].annotation is Role:
        described["enum"] = [role.value for role in Role]
    return described


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for message in every_message():
        contract = message.contract
        if contract.topic is None:
            continue
        command = contract.kind is Kind.COMMAND
        for channel in (contract.name, f"{contract.name}.{DIRECTED}") if command else (contract.name,):
            for role in contract.by:
                yield f"{role.value}.sends.{channel}", _operation("send", message, channel)
            for role in contract.to:
                yield f"{role.value}.handles.{channel}", _operation("receive", message, channel)
            for role in contract.overheard_by:
                heard = _operation("receive", message, channel)
                heard.pop("reply", None)
                yield f"{role.value}.overhears.{channel}", heard


def _operation(action: str, message: type[Message], channel: str) -> dict[str, Any]:
    contract = message.contract
    operation: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{contract.name}"}],
        "bindings": {"$ref": f"#/components/operationBindings/{contract.name}"},
    }
    if contract.answers:
        operation["reply"] = {"$ref": f"#/components/replies/{contract.name}"}
    return operation


def _delivery(message: type[Message]) -> dict[str, Any]:
    contract = message.contract
    delivery: dict[str, Any] = {"qos": contract.qos, "retain": contract.retain}
    if contract.expires is not None:
        delivery["messageExpiryInterval"] = contract.expires
    return delivery | MQTT


def _reply(message: type[Message]) -> dict[str, Any]:
    return {
        "address": {"description": "MQTT 5 response topic.", "location": "$message.header#/responseTopic"},
        "channel": {"$ref": f"#/channels/{REPLY}"},
        "messages": [
            {"$ref": f"#/channels/{REPLY}/messages/{answer.contract.name}"}
            for answer in (*message.contract.answers, *_any_answer())
        ],
    }


def _any_answer() -> tuple[type[Message], ...]:
    """What a request may be answered with whatever it asks: that it is being worked on, or has failed."""
    return (Accepted, Failed)


def _every_answer() -> tuple[type[Message], ...]:
    answers = {answer: None for message in every_message() for answer in message.contract.answers}
    return (*answers, *(answer for answer in _any_answer() if answer not in answers))


def _message(message: type[Message], references: dict[Any, Schema]) -> dict[str, Any]:
    contract = message.contract
    framed = body_of(message) is not None
    envelope: Schema = {
        "allOf": [references[Envelope], {"type": "object", "properties": _inside(message, references)}],
    }
    headers: Schema = {"correlationData": {"type": "string"}}
    if contract.answers:
        headers["responseTopic"] = {"type": "string", "pattern": f"^{BASE}/reply/"}
    if framed:
        headers[HEADER] = {
            "type": "string",
            "description": "The envelope as JSON; its fields may also be given as user properties of their own.",
            "contentMediaType": "application/json",
            "contentSchema": envelope,
        }
    return {
        "name": contract.name,
        "title": message.__name__,
        "summary": message.__doc__,
        "contentType": "application/octet-stream" if framed else "application/json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"type": "string", "format": "binary"} if framed else envelope,
        "correlationId": {"$ref": "#/components/correlationIds/request"},
        "bindings": {"mqtt": {"payloadFormatIndicator": int(not framed)} | MQTT},
    }


def _inside(message: type[Message], references: dict[Any, Schema]) -> Schema:
    return {"type": {"enum": ["", message.contract.name]}, "data": references[message]}
