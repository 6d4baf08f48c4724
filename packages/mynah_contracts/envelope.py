"""What travels around a payload."""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

HEADER: Final = "mynah"
"""The MQTT 5 user property that carries the envelope of a Frame."""

Identifier = Annotated[str, Field(max_length=128)]


class Envelope(BaseModel):
    """A message on the wire; fields that are missing get defaults, unknown ones are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    id: Identifier = ""
    """Unique per message; duplicates are dropped by it."""
    type: Annotated[str, Field(max_length=64)] = ""
    """The declared type, such as `memory.query`; empty: by its topic."""
    v: Annotated[int, Field(ge=1)] = 1
    """Version of the payload's schema."""
    ts: float = 0.0
    """When it was sent, seconds since the epoch by the sender's clock."""
    source: Identifier = ""
    """Who sent it: role/instance."""
    correlation_id: Identifier | None = None
    """Ties a reply to its request."""
    turn: Identifier | None = None
    """The utterance, and all it causes."""
    session: Identifier | None = None
    """The conversation."""
    reply_to: Annotated[str, Field(max_length=256)] | None = None
    """Topic for the answer, below `<base>/reply/`."""
    traceparent: Annotated[str, Field(max_length=64)] | None = None
    """W3C trace context, when the sender traces."""
    priority: Annotated[int, Field(ge=1, le=5)] = 3
    """1 is the most urgent, 5 can wait."""
    data: Any = None
    """The payload."""
