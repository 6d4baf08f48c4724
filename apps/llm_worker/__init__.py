"""Thinks: answers what the intents do not, from memory, by rules or with a language model."""
