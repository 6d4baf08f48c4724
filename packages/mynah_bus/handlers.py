"""How a part of a worker says what it hears and says: a handler is a function from a message to messages."""

import inspect
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar, overload

from mynah_contracts import CATALOGUE, Kind, Message, Role

INBOX: Final = 100
_HANDLES: Final = "__mynah_handles__"
_PRODUCES: Final = "__mynah_produces__"

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Limits:
    """How many messages of a type are handled at once, and how many may wait."""

    at_once: int = 1
    waiting: int = INBOX


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of a part, and what its signature says."""

    name: str
    call: Callable[[Any], Awaitable[Message | None] | AsyncIterator[Message] | Message | None]
    hears: type[Message]
    says: tuple[type[Message], ...]
    limits: Limits
    yields: bool
    """Whether it is an async generator."""
    threaded: bool
    """Whether it is a plain function, to be run in a thread."""
    answers: bool
    """Whether what it hears is a command to us, not one that we overhear."""


@dataclass(frozen=True, slots=True)
class Producer:
    """An async generator of messages that runs as long as the worker."""

    name: str
    call: Callable[[], AsyncIterator[Message]]
    says: tuple[type[Message], ...]


@overload
def handles(function: F) -> F: ...
@overload
def handles(*, at_once: int = 1, waiting: int = INBOX) -> Callable[[F], F]: ...
def handles(function: F | None = None, *, at_once: int = 1, waiting: int = INBOX) -> F | Callable[[F], F]:
    """Mark a method that handles messages: its parameter's type is the subscription, its return type what it sends.

    At most `at_once` run at the same time and `waiting` more wait; a command above that is refused, a stream drops
    its oldest.
    """
    limits = Limits(at_once, waiting)

    def mark(function: F) -> F:
        setattr(function, _HANDLES, limits)
        return function

    return mark if function is None else mark(function)


def produces(function: F) -> F:
    """Mark an async generator method without parameters that sends messages as long as the worker runs."""
    setattr(function, _PRODUCES, True)
    return function


def handlers_of(part: object, role: Role) -> list[Handler]:
    """The handlers of a part; TypeError if one hears or says what is not for its role."""
    found = []
    for name, method in _methods(part):
        limits = getattr(method, _HANDLES, None)
        if limits is None:
            continue
        where = f"{type(part).__name__}.{name}"
        hints = typing.get_type_hints(method)
        parameters = [hints[word] for word in inspect.signature(method).parameters if word in hints]
        if len(parameters) != 1 or not _is_message(parameters[0]):
            raise TypeError(f"{where} must take one message")
        hears = parameters[0]
        contract = hears.contract
        if role not in (*contract.to, *contract.overheard_by):
            raise TypeError(f"{where}: {role.value} handles {hears.__name__}, which is not for it")
        found.append(
            Handler(
                name=where,
                call=method,
                hears=hears,
                says=_says(where, hints.get("return"), role),
                limits=limits,
                yields=inspect.isasyncgenfunction(method),
                threaded=not inspect.isasyncgenfunction(method) and not inspect.iscoroutinefunction(method),
                answers=contract.kind is Kind.COMMAND and role in contract.to,
            )
        )
    return found


def producers_of(part: object, role: Role) -> list[Producer]:
    """The producers of a part; TypeError if one says what is not for its role to say."""
    found = []
    for name, method in _methods(part):
        if getattr(method, _PRODUCES, False):
            where = f"{type(part).__name__}.{name}"
            if not inspect.isasyncgenfunction(method):
                raise TypeError(f"{where} must be an async generator")
            found.append(Producer(where, method, _says(where, typing.get_type_hints(method).get("return"), role)))
    return found


def _methods(part: object) -> list[tuple[str, Callable[..., Any]]]:
    return inspect.getmembers(part, callable)


def _says(where: str, hint: Any, role: Role) -> tuple[type[Message], ...]:
    if typing.get_origin(hint) is AsyncIterator:
        hint = typing.get_args(hint)[0]
    choices = typing.get_args(hint) if isinstance(hint, types.UnionType) or typing.get_origin(hint) else (hint,)
    says = tuple(choice for choice in choices if choice not in {None, types.NoneType})
    for said in says:
        if not _is_message(said):
            raise TypeError(f"{where} must return messages, not {said}")
        if role not in said.contract.by:
            raise TypeError(f"{where}: {said.__name__} is not for {role.value} to send")
    return says


def _is_message(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Message) and hint in CATALOGUE.values()
