"""Vocabularies and voices that the tests of this room share."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import home_assistant_intents
import numpy as np
import pytest
import soxr

from stt_worker.engines import Samples
from stt_worker.engines.sphinx import dictionary

AREAS = ("kitchen", "living room", "office", "bedroom")
NAMES = {
    "bed light": "light",
    "living room lamp": "light",
    "lamp": "light",
    "sliding door": "cover",
    "front door": "lock",
    "TV": "media_player",
    "EcoBee": "climate",
    "mood lighting": "scene",
    "outdoor humidity": "sensor",
    "New York": "weather",
}
SPOKEN = (
    "HassCancelTimer",
    "HassClimateGetTemperature",
    "HassGetCurrentDate",
    "HassGetCurrentTime",
    "HassGetState",
    "HassGetWeather",
    "HassLightSet",
    "HassMediaNext",
    "HassMediaPause",
    "HassNevermind",
    "HassPauseTimer",
    "HassStartTimer",
    "HassTimerStatus",
    "HassTurnOff",
    "HassTurnOn",
    "HassUnpauseTimer",
)


@pytest.fixture(scope="session", name="dictionary")
def cmudict() -> Path:
    """The pronunciations that PocketSphinx ships."""
    return dictionary()


@pytest.fixture(scope="session")
def house() -> dict[str, Any]:
    """What Home Assistant's users say to a device that only knows fixed sentences, in a house with some names."""
    intents = home_assistant_intents.get_speech_to_phrase_intents("en")
    assert intents is not None
    lists = {
        "area": {"values": list(AREAS)},
        "floor": {"values": ["ground", "first"]},
        "name": {"values": [{"in": name, "out": name, "context": {"domain": d}} for name, d in NAMES.items()]},
    }
    return {
        **intents,
        "intents": {name: intents["intents"][name] for name in SPOKEN},
        "lists": intents["lists"] | lists,
    }


@pytest.fixture(scope="session")
def assistant() -> dict[str, Any]:
    """What a small assistant understands."""
    return {
        "language": "en",
        "intents": {
            "Time": {"data": [{"sentences": ["what time is it [[right] now]", "(what is|what's) the (time|date)"]}]},
            "Sum": {"data": [{"sentences": ["what is {number:a} (plus|minus|times) {number:b}"]}]},
            "SetTimer": {"data": [{"sentences": ["set [a|the] timer for {number} (second|minute|hour)[s]"]}]},
            "Timer": {"data": [{"sentences": ["(cancel|pause|resume) [the|my] timer", "how much time is left"]}]},
            "Light": {
                "data": [{"sentences": ["turn (on|off) [the] {area} lights", "turn [the] {area} lights (on|off)"]}]
            },
            "Talk": {"data": [{"sentences": ["stop", "help", "never mind", "repeat that"]}]},
        },
        "lists": {
            "number": {"range": {"from": 1, "to": 100}},
            "area": {"values": list(AREAS)},
        },
        "skip_words": ["please", "can you"],
    }


@pytest.fixture(scope="session")
def say() -> Callable[..., Samples]:
    """Speaks a text with eSpeak, at 16 kHz: `say(text, voice="en-us", speed=175)`."""
    program = shutil.which("espeak-ng")
    if program is None:
        pytest.skip("espeak-ng is not installed")

    def say(text: str, voice: str = "en-us", speed: int = 175) -> Samples:
        command = [program, "-v", voice, "-s", str(speed), "--stdout", text]
        wav = subprocess.run(command, capture_output=True, check=True).stdout
        rate = int.from_bytes(wav[24:28], "little")
        samples = np.frombuffer(wav[44:], np.int16).astype(np.float32)
        return np.clip(np.round(soxr.resample(samples, rate, 16_000)), -32_768, 32_767).astype(np.int16)

    return say
