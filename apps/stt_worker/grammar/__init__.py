"""Grammars: what can be said, compiled from the intents that the assistant knows."""
