"""The conversation that the code at hand takes part in; it flows from message to message by context variable."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple

from mynah_resilience.names import Names

_name: Final = Names(12)


def new_id() -> str:
    """An identifier that nobody else makes, and that nobody can guess from the ones before: it proves an answer."""
    return _name()


class Context(NamedTuple):
    """What a message inherits from the one that caused it."""

    turn: str | None = None
    session: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    message_id: str = ""
    """Of the message that is being handled."""
    source: str = ""
    """Who sent the message that is being handled: role/instance."""
    priority: int = 3


_context: ContextVar[Context] = ContextVar("mynah_context", default=Context())  # noqa: B039  # frozen


def current() -> Context:
    """The conversation of the code that runs now."""
    return _context.get()


def enter(context: Context) -> None:
    """Make this the conversation of the current task, to its end."""
    _context.set(context)


@contextmanager
def conversation(*, turn: str | None = None, session: str | None = None, priority: int | None = None) -> Iterator[None]:
    """Make what is sent inside part of a turn or session; what is None is inherited."""
    now = _context.get()
    token = _context.set(
        now._replace(
            turn=now.turn if turn is None else turn,
            session=now.session if session is None else session,
            priority=now.priority if priority is None else priority,
        )
    )
    try:
        yield
    finally:
        _context.reset(token)
