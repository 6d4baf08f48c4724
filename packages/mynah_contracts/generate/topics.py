"""The page of topics that people read."""

import json
import shlex
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from mynah_contracts import OBSERVERS, WORKERS, Envelope, Kind, Message, Role
from mynah_contracts.generate import BASE
from mynah_contracts.generate.schemas import Schema, body_of, component_schemas, every_message, ways

PLACE: Final = "default"
"""A word that may stand in a topic."""
INTRODUCTION: Final = """\
# Topics

Every message between workers, as `packages/mynah_contracts` declares it. Topics are given with the default base,
`mynah`. Watch them all, but for audio and the replies to others:

```sh
mosquitto_sub $(mynah broker args) -v -t 'mynah/#'
```

A payload is an [envelope](#envelope) in JSON whose `data` holds the fields below. What is missing gets its default,
what is unknown is ignored. Where a field is *the payload*, the message is audio: the payload is its bytes, and the
envelope travels beside it as the MQTT 5 user property `mynah` (by hand, each field may be a user property of its own).

A **command** is done by one worker of the role, which hears it on `$share/<role>/<topic>` and, when it is meant for
one, on `<topic>/<instance>`. Its answer goes to the MQTT 5 response topic, which is
`mynah/reply/<user>/<instance>/<role that answers>`, of a guest any below `mynah/reply/guest/`; without one, to the
topic of the answer. An **event** goes to everyone who listens; a **state** is retained, so that
late joiners hear it; a **stream** is one of many small pieces and may be lost.
"""


def page() -> str:
    """All topics in Markdown."""
    _, schemas = component_schemas((*every_message(), Envelope), "{model}")
    return "\n".join(_lines(schemas))


def command_line(message: type[Message], schemas: dict[str, Schema]) -> str:
    """How somebody at a shell gives a command, with mosquitto's own tools."""
    contract = message.contract
    user = Role.GUEST if Role.GUEST in contract.by else contract.by[0]
    login = "$(mynah broker args)" if user is Role.GUEST else f"$(mynah broker args {user.value})"
    topic = f"{BASE}/{contract.topic}".format(**dict.fromkeys(contract.parameters, PLACE))
    data = json.dumps({"data": example(schemas[message.__name__], schemas)})
    said = "-f recording.wav" if contract.body else f"-m {shlex.quote(data)}"
    if contract.reply is None:
        return f"mosquitto_pub {login} -V 5 -q 1 -t {topic} {said}"
    answer = " > answer.wav" if contract.reply.contract.body else ""
    replies = f"{BASE}/reply/{user.value}/1" + ("" if user is Role.GUEST else f"/{contract.to[0].value}")
    return f"mosquitto_rr {login} -V 5 -q 1 -t {topic} -e {replies} {said}{answer}"


def example(schema: Schema, schemas: dict[str, Schema]) -> Any:  # noqa: C901, PLR0911  # a case for each shape of a schema
    """The least that a schema accepts: required fields only, with the first of the values that a field may have."""
    match schema:
        case {"$ref": name}:
            return example(schemas[name], schemas)
        case {"enum": [first, *_]} | {"const": first} | {"default": first}:
            return first
        case {"anyOf": [first, *_]}:
            return example(first, schemas)
        case {"oneOf": [_, *_]}:
            return example(ways(schema)[0], schemas)
        case {"type": "object"}:
            return {name: example(schema["properties"][name], schemas) for name in schema.get("required", ())}
        case {"type": "array"}:
            return []
        case {"type": "string", "pattern": _}:
            return PLACE
        case {"type": "string"}:
            return "hello"
        case {"type": "integer" | "number"}:
            return schema.get("minimum", 0)
        case {"type": "boolean"}:
            return False
    return None


def _lines(schemas: dict[str, Schema]) -> Iterator[str]:
    yield INTRODUCTION
    yield "| topic | what it is | from | to | delivery |\n|---|---|---|---|---|"
    for message in every_message():
        by, to = _roles(message.contract.by), _roles(message.contract.to)
        yield f"| {_link(message)} | {message.__doc__} | {by} | {to} | {_delivery(message)} |"
    for domain, messages in groupby(every_message(), key=lambda message: message.contract.name.partition(".")[0]):
        yield f"\n## {domain}"
        for message in messages:
            yield from _section(message, schemas)
    yield from _parts()
    yield f"\n## Envelope\n\n{Envelope.__doc__}\n"
    yield from _table(schemas[Envelope.__name__], schemas)
    yield "\n## Shared types"
    described = {Envelope.__name__, *(message.__name__ for message in every_message())}
    for name in sorted(schemas.keys() - described):
        if "properties" in schemas[name]:
            yield f"\n### {name}\n\n{schemas[name]['description']}\n"
            yield from _table(schemas[name], schemas)
    yield ""


def _section(message: type[Message], schemas: dict[str, Schema]) -> Iterator[str]:
    contract = message.contract
    yield f"\n### {_title(message)}\n\n{message.__doc__}\n"
    facts = [f"`{message.__name__}`, {_delivery(message)}", f"from {_roles(contract.by)}", f"to {_roles(contract.to)}"]
    if contract.overheard_by:
        facts.append(f"overheard by {_roles(contract.overheard_by)}")
    if contract.answers:
        facts.append("answered with " + ", then ".join(_link(answer) for answer in contract.answers))
    yield "; ".join(facts) + ".\n"
    yield from _table(schemas[message.__name__], schemas, body_of(message))
    if contract.kind is Kind.COMMAND:
        yield f"\n```sh\n{command_line(message, schemas)}\n```"


def _parts() -> Iterator[str]:
    yield "\n## Who may do what\n"
    yield "The broker gives each role these rights and no others; each hears its own replies as well.\n"
    yield "| role | sends | hears |\n|---|---|---|"
    for role in Role:
        sent = [message for message in every_message() if role in message.contract.by]
        heard = [
            message
            for message in every_message()
            if role in (*message.contract.to, *message.contract.overheard_by)
            or (role in OBSERVERS and message.contract.body is None)
        ]
        cells = (", ".join(_link(message) for message in messages) for messages in (sent, heard))
        yield f"| {role.value} | {' | '.join(cells)} |"


def _title(message: type[Message]) -> str:
    return message.contract.topic or message.contract.name


def _link(message: type[Message]) -> str:
    title = _title(message)
    anchor = "".join(letter for letter in title if letter.isalnum() or letter in "-_")
    return f"[`{title}`](#{anchor})"


def _roles(roles: Iterable[Role]) -> str:
    named = tuple(roles)
    if set(named) == set(Role):
        return "everyone"
    return "every worker" if set(named) == set(WORKERS) else ", ".join(role.value for role in named)


def _delivery(message: type[Message]) -> str:
    contract = message.contract
    facts = [contract.kind.value, *(["audio"] if contract.body else []), f"QoS {contract.qos}"]
    if contract.retain:
        facts.append("retained")
    if contract.expires is not None:
        facts.append(f"expires after {contract.expires} s")
    if contract.topic is None:
        facts.append("on reply topics only")
    return ", ".join(facts)


def _table(schema: Schema, schemas: dict[str, Schema], body: str | None = None) -> Iterator[str]:
    rows = [] if body is None else [(f"`{body}`", "bytes", "required", "*the payload*")]
    for name, field in schema.get("properties", {}).items():
        required = name in schema.get("required", ())
        default = "required" if required else f"`{json.dumps(field.get('default', _made(field)))}`"
        rows.append((f"`{name}`", _type(field, schemas), default, field.get("description", "")))
    yield "| field | type | default | meaning |\n|---|---|---|---|" if rows else "No fields."
    for row in rows:
        cells = (cell.replace("|", r"\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def _made(field: Schema) -> Any:
    """What a default factory makes of a field: the schema does not say."""
    return [] if field.get("type") == "array" else {}


def _type(field: Schema, schemas: dict[str, Schema]) -> str:  # noqa: C901, PLR0911  # a case for each shape of a schema
    match field:
        case {"$ref": name} if "properties" in schemas[name]:
            return f"[{name}](#{name.lower()})"
        case {"$ref": name}:
            return _type(schemas[name], schemas)
        case {"enum": values}:
            return " or ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{json.dumps(value)}`"
        case {"anyOf": options}:
            return " or ".join(_type(option, schemas) for option in options)
        case {"type": "array"}:
            return f"list of {_type(field['items'], schemas)}{_range(field, 'minItems', 'maxItems', ' items')}"
        case {"type": "object"}:
            return f"map to {_type(field['additionalProperties'], schemas)}"
        case {"type": "string", "pattern": pattern}:
            return f"text `{pattern}`"
        case {"type": "string"}:
            return f"text{_range(field, 'minLength', 'maxLength', ' characters')}"
        case {"type": str(simple)}:
            return f"{simple}{_range(field, 'minimum', 'maximum')}"
    return "any JSON"


def _range(field: Schema, low: str, high: str, unit: str = "") -> str:
    if low in field and high in field:
        return f", {field[low]} to {field[high]}{unit}"
    if low in field:
        return f", at least {field[low]}{unit}"
    return f", at most {field[high]}{unit}" if high in field else ""
