"""What is said about the conversation itself."""

from collections.abc import Mapping

SILENT = ("Stop", "PauseSpeech", "ResumeSpeech")
"""Intents whose answer is that something is heard no more, or again."""
LOUDNESS = ("SetVolume", "VolumeUp", "VolumeDown", "Mute", "Unmute")
"""Intents that nothing here can do yet."""

FIXED: Mapping[str, str] = {
    **dict.fromkeys(SILENT, ""),
    **dict.fromkeys(LOUDNESS, "I cannot change the volume."),
    "Nevermind": "OK.",
    "Greeting": "Hello! What can I do for you?",
    "Goodbye": "Goodbye.",
    "Thanks": "You're welcome.",
    "WhoAreYou": "I am Mynah, a voice assistant that lives on your own machines.",
    "Help": (
        "I can tell you the time and the date, set timers, and keep your shopping list. "
        "I can do sums, and remember what you tell me. "
        "Say stop when you have heard enough, and repeat that when you have not."
    ),
}
NOTHING_YET = "I have not said anything yet."
