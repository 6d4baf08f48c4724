"""What follows from the catalogue: documents for people and other languages, and the broker's rights."""

from typing import Final

BASE: Final = "mynah"
"""The base of topics in what is written down; a fleet may choose another."""
