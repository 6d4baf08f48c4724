"""Processors that take a model and are given JSON."""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mynah_tasks.errors import Unretryable

Request = TypeVar("Request", bound="Payload")


class Payload(BaseModel):
    """What a task of some type is given; a word that the type does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, allow_inf_nan=False)


class BadPayload(Unretryable):
    """The payload does not fit the task's type."""

    code = "bad_payload"


class NotConfigured(Unretryable):
    """What the task needs is not there; the message says what to configure."""

    code = "not_configured"


def typed(work: Callable[[Request], Any]) -> Callable[[Any], Any]:
    """The same work for a payload of plain JSON, which the annotation of its parameter turns into its model.

    A result that is a model becomes a dictionary. The function keeps its import name, so that it can run in a process.
    """
    (parameter,) = inspect.signature(work).parameters
    model: type[Request] = typing.get_type_hints(work)[parameter]

    if inspect.iscoroutinefunction(work):

        @functools.wraps(work)
        async def wait_for_it(payload: Any) -> Any:
            return _plain(await work(parse(model, payload)))

        return wait_for_it

    @functools.wraps(work)
    def do_it(payload: Any) -> Any:
        return _plain(work(parse(model, payload)))

    return do_it


def parse(model: type[Request], payload: Any) -> Request:
    """The payload as its model; raises BadPayload with what is wrong where."""
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        wrong = "; ".join(f"{_place(item['loc'])}: {item['msg']}" for item in error.errors(include_url=False))
        raise BadPayload(f"{model.__name__} cannot be made of the payload: {wrong}") from error


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "payload"


def _plain(result: Any) -> Any:
    return result.model_dump() if isinstance(result, BaseModel) else result
