"""JSON Schemas of the messages, for people and for workers in other languages."""

import ast
import inspect
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from mynah_contracts import CATALOGUE, Message

Schema = dict[str, Any]


class ContractSchema(GenerateJsonSchema):
    """Schemas that say what the declarations say, and are as tolerant as those who receive the messages."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002  # pydantic's signature
        """A field's name is title enough."""
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        """Without the field that travels as the payload itself; unknown fields are ignored by who receives them."""
        model = schema["cls"]
        described = super().model_schema(schema)
        described.pop("additionalProperties", None)
        properties = described.get("properties", {})
        for name, remark in remarks(model).items():
            properties[name]["description"] = remark
        body = body_of(model)
        if body is not None:
            del properties[body]
            described["required"] = [name for name in described["required"] if name != body]
            if not described["required"]:
                del described["required"]
        return described


def every_message() -> tuple[type[Message], ...]:
    """The catalogue in the order of its names, whatever was imported first."""
    return tuple(CATALOGUE[name] for name in sorted(CATALOGUE))


def body_of(model: type[BaseModel]) -> str | None:
    """The field that is an MQTT payload of its own, if the model has one."""
    return model.contract.body if issubclass(model, Message) else None


def schema_of(model: type[BaseModel]) -> Schema:
    """The schema of one model, with all that it refers to under `$defs`."""
    return model.model_json_schema(schema_generator=ContractSchema)


def component_schemas(models: Sequence[type[BaseModel]], template: str) -> tuple[dict[type[BaseModel], Schema], Schema]:
    """A reference to each model, and every schema that they need by name; `template` makes references of names."""
    references, definitions = models_json_schema(
        [(model, "validation") for model in models], schema_generator=ContractSchema, ref_template=template
    )
    return {model: references[model, "validation"] for model in models}, definitions["$defs"]


def ways(schema: Schema) -> list[Schema]:
    """The schema of an object without the choice in it: one for each way to make it."""
    rest = {key: value for key, value in schema.items() if key != "oneOf"}
    return [
        {**rest, **way, "properties": {**schema["properties"], **way["properties"]}} for way in schema.get("oneOf", ())
    ] or [rest]


def remarks(model: type[BaseModel]) -> dict[str, str]:
    """What the strings below the fields of a class say about them."""
    (declaration,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(declaration, ast.ClassDef)
    return {
        field.target.id: remark.value.value
        for field, remark in pairwise(declaration.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(remark, ast.Expr)
        and isinstance(remark.value, ast.Constant)
        and isinstance(remark.value.value, str)
    }
