"""Instances of every message for hypothesis, made from what the declaration itself says is valid."""

import math
from typing import Any

from hypothesis import strategies as st

from mynah_contracts import Message
from mynah_contracts.generate.schemas import ways

Schema = dict[str, Any]

EXACT = 2**53
"""JSON carries whole numbers exactly up to here, whoever reads it."""
TEXT = st.characters(codec="utf-8", exclude_categories=["Cs"])
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-EXACT, EXACT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(TEXT, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=5), inner, max_size=3),
    max_leaves=6,
)


def messages(declared: type[Message]) -> st.SearchStrategy[Message]:
    """Any message of a type."""
    return fields(declared).map(lambda values: declared(**values))


def fields(declared: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """The fields of any message of a type; those with a default may be missing."""
    schema = declared.model_json_schema()
    return st.one_of(*(_object(way, schema.get("$defs", {})) for way in ways(schema)))


def _values(  # noqa: C901, PLR0911, PLR0912  # a case for each shape of a schema
    schema: Schema, definitions: dict[str, Schema]
) -> st.SearchStrategy[Any]:
    match schema:
        case {"$ref": name}:
            return _values(definitions[name.rpartition("/")[2]], definitions)
        case {"const": value}:
            return st.just(value)
        case {"enum": values}:
            return st.sampled_from(values)
        case {"anyOf": options}:
            return st.one_of(*(_values(option, definitions) for option in options))
        case {"type": "object", "properties": _}:
            return _object(schema, definitions)
        case {"type": "object", "additionalProperties": dict(value)}:
            return st.dictionaries(st.text(TEXT, max_size=10), _values(value, definitions), max_size=4)
        case {"type": "object"}:
            return st.just({})
        case {"type": "array", "items": items}:
            longest = min(schema.get("maxItems", 4), 4)
            return st.lists(_values(items, definitions), min_size=schema.get("minItems", 0), max_size=longest)
        case {"type": "string", "format": "binary"}:
            return st.binary(max_size=64)
        case {"type": "string", "pattern": pattern}:
            return st.from_regex(pattern.replace("$", r"\Z"))
        case {"type": "string"}:
            shortest = schema.get("minLength", 0)
            return st.text(TEXT, min_size=shortest, max_size=max(shortest, min(schema.get("maxLength", 40), 40)))
        case {"type": "integer"}:
            return st.integers(schema.get("minimum", -EXACT), schema.get("maximum", EXACT))
        case {"type": "number"}:
            low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
            return st.floats(
                None if math.isinf(low) else low,
                None if math.isinf(high) else high,
                allow_nan=False,
                allow_infinity=False,
            )
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "null"}:
            return st.none()
        case {}:
            return ANY_JSON
    raise TypeError(f"no strategy makes what this allows: {schema}")


def _object(schema: Schema, definitions: dict[str, Schema]) -> st.SearchStrategy[dict[str, Any]]:
    values = {name: _values(field, definitions) for name, field in schema.get("properties", {}).items()}
    required = schema.get("required", ())
    return st.fixed_dictionaries(
        {name: value for name, value in values.items() if name in required},
        optional={name: value for name, value in values.items() if name not in required},
    )
