"""Holds the conversation: turns, intents, timers, and the way from answers to speech."""
