"""What the fields of a model are made of."""

import typing
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, JsonValue

from mynah_contracts.generate.topics import example


def leaves(annotation: Any) -> set[Any]:
    """The types that an annotation is made of; models and JSON stay whole."""
    if typing.get_origin(annotation) is Literal:
        return {str}
    arguments = typing.get_args(annotation)
    return set().union(*(leaves(argument) for argument in arguments)) if arguments else {annotation}


def models(model: type[BaseModel]) -> set[type[BaseModel]]:
    """A model and those inside it."""
    inside = set().union(*(leaves(field.annotation) for field in model.model_fields.values()))
    return {model}.union(*(models(leaf) for leaf in inside if isinstance(leaf, type) and issubclass(leaf, BaseModel)))


def planted(annotation: Any, number: type, wrong: Any) -> Iterator[Any]:
    """Values of a type with a wrong one wherever a number of that type stands, or any JSON."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is number:
        yield wrong
    elif annotation is JsonValue and isinstance(wrong, number):
        yield from (wrong, [wrong], {"x": wrong})
    elif origin is list:
        yield from ([value] for value in planted(arguments[0], number, wrong))
    elif origin is dict:
        yield from ({"x": value} for value in planted(arguments[1], number, wrong))
    elif origin is not Literal:
        for argument in arguments:
            yield from planted(argument, number, wrong)


def minimal(model: type[BaseModel]) -> dict[str, Any]:
    """The least that makes one."""
    schema = model.model_json_schema(ref_template="{model}")
    fields: dict[str, Any] = example(schema, schema.get("$defs", {}))
    return fields


def boundless(schema: dict[str, Any]) -> Iterator[str]:
    """The fields of a JSON Schema, and of what it refers to, that may hold text or items without end."""
    for described in (schema, *schema.get("$defs", {}).values()):
        for name, field in described.get("properties", {}).items():
            yield from (name for _ in _open_ends(field))


def _open_ends(field: dict[str, Any]) -> Iterator[dict[str, Any]]:
    match field:
        case {"type": "string"} if not field.keys() & {"maxLength", "pattern", "enum", "const", "format"}:
            yield field
        case {"type": "array"} if "maxItems" not in field:
            yield field
        case {"type": "object", "additionalProperties": dict()}:
            if "maxProperties" not in field:
                yield field
            if "maxLength" not in field.get("propertyNames", {}):
                yield field
    for part in (*field.get("anyOf", ()), *(field[key] for key in ("items", "additionalProperties") if key in field)):
        yield from _open_ends(part)
