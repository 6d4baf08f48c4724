"""Speaks: sentences for satellites, recordings for whoever asks."""
