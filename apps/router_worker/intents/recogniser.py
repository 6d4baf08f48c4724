"""From the words of a whole utterance to an intent."""

from collections.abc import Iterable, Mapping
from typing import Any

from hassil import Intents, RecognizeResult, recognize_best

from router_worker.intents import dictionary, slots
from router_worker.intents.home import Home
from router_worker.intents.intent import Intent, Risk
from router_worker.intents.sieve import Heard, Sieve
from router_worker.intents.utterance import Trimmer
from router_worker.intents.vocabulary import vocabulary

NAMES = ("mynah", "myna", "minah")
"""What the assistant is called, as it is written by those who hear it."""
HERE = "here"
"""The area of a command that names none when the satellite's area is not known."""

_LONGEST = 200
_WARM_UP = (
    "good grief",
    "set a timer for one hour twenty minutes and five seconds",
    "set the volume to fifty percent",
    "set the bed light brightness to fifty percent",
    "turn on the lights",
)
_LOSES_MUCH = frozenset({"CancelAllTimers", "ClearList"})
_CHANGES = frozenset(
    {
        *("StartTimer", "CancelTimer", "PauseTimer", "ResumeTimer", "IncreaseTimer", "DecreaseTimer"),
        *("AddToList", "RemoveFromList"),
        *("SetVolume", "VolumeUp", "VolumeDown", "Mute", "Unmute"),
    }
)
_ONLY_ASKS = frozenset({"HassGetState", "HassClimateGetTemperature"})
_OPENS = frozenset({("HassTurnOff", "lock"), ("HassTurnOn", "cover"), ("HassSetPosition", "cover")})


class Recogniser:
    """Understands whole utterances of one home; making one reads the sentences and takes about half a second."""

    def __init__(self, home: Home | None = None, names: Iterable[str] = NAMES) -> None:
        self._home = home or Home()
        self._trimmer = Trimmer(names)
        own = Intents.from_dict(dictionary.merged(map(dictionary.own, dictionary.OWN)))
        # Nearly everything that is said to a home is among the few sentences, which take half the time to try.
        few = dictionary.merged([dictionary.own(dictionary.HOME), dictionary.home_assistant(lean=True)])
        self._sieve = Sieve(own, *map(self._at_home, (few, dictionary.home_assistant(lean=False))))
        for sentence in _WARM_UP:
            self.recognise(sentence)

    def is_none(self, text: str) -> bool:
        """Whether the utterance is surely for the language model; soon known, from any thread."""
        return len(text) > _LONGEST or not any(self._sieve.sift(Heard(self._trimmer.trim(text))))

    def recognise(self, text: str, area: str | None = None) -> Intent | None:
        """What the utterance as a whole asks for, said in this area; None if it is for the language model."""
        if len(text) > _LONGEST:
            return None
        command = self._trimmer.trim(text)
        own, *around = self._sieve.sift(Heard(command))
        found = recognize_best(command, own) if own else None
        for sentences in around:
            if found is None and sentences:
                context = {"area": area or HERE}
                found = recognize_best(command, sentences, intent_context=context, best_slot_name="name")
        return None if found is None else _intent(found)

    def vocabulary(self) -> dict[str, Any]:
        """Every sentence worth hearing, as a hassil intents dictionary without wildcards; JSON-able."""
        return vocabulary(self._home)

    def _at_home(self, sentences: Mapping[str, Any]) -> Intents:
        return Intents.from_dict({**sentences, "lists": {**sentences["lists"], **self._home.lists()}})


def _intent(found: RecognizeResult) -> Intent | None:
    said: Mapping[str, Any] = {name: entity.value for name, entity in found.entities.items()}
    domain = said.get("domain") or found.context.get("domain")
    if domain:
        said = {**said, "domain": domain}
    try:
        return Intent(found.intent.name, slots.values(said), _risk(found.intent.name, domain))
    except slots.NotAnIntent:
        return None


def _risk(name: str, domain: str | None) -> Risk:
    if name in _LOSES_MUCH or (name, domain) in _OPENS:
        return Risk.HIGH
    if name in _CHANGES or (name.startswith("Hass") and name not in _ONLY_ASKS):
        return Risk.LOW
    return Risk.NONE
