"""What a person wants, as far as it was understood without a language model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Slot = str | int | float | tuple[str, ...]


class Risk(StrEnum):
    """What happens if the intent was misheard."""

    NONE = "none"
    """Something is said."""
    LOW = "low"
    """Something changes that is easily changed back."""
    HIGH = "high"
    """A door opens or something is lost: ask first."""


@dataclass(frozen=True)
class Intent:
    """An intent by name, with what was said about it."""

    name: str
    slots: Mapping[str, Slot] = field(default_factory=dict)
    risk: Risk = Risk.NONE

    def text(self, slot: str) -> str | None:
        """The slot, if it was said, as text."""
        value = self.slots.get(slot)
        return value if isinstance(value, str) else None

    def number(self, slot: str) -> float | None:
        """The slot, if it was said, as a number."""
        value = self.slots.get(slot)
        return value if isinstance(value, int | float) else None
