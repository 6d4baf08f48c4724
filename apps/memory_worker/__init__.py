"""Remembers what is said, finds it again, and knows who the assistant is."""
