"""What people ask for in so many words, understood without a language model."""

from router_worker.intents.home import Device, Home
from router_worker.intents.intent import Intent, Risk, Slot
from router_worker.intents.recogniser import HERE, NAMES, Recogniser

__all__ = ["HERE", "NAMES", "Device", "Home", "Intent", "Recogniser", "Risk", "Slot"]
