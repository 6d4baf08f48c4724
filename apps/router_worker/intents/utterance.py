"""An utterance without what people say around it: the assistant's name, politeness, hesitation."""

import re
import unicodedata
from collections.abc import Iterable

FILLERS = ("please", "can you", "could you", "would you", "will you")
"""What is said before or after a command and changes nothing, as the ear should know it."""

_BEFORE = (
    *FILLERS,
    r"(?:i want|i'd like|i would like) you to",
    "can you please",
    "okay",
    "ok",
    "um+",
    "uh+",
    "er+",
    "hm+",
    "well",
    "so",
    "now",
    "and",
    "just",
)
_AFTER = (*FILLERS, "for me", "thanks", "thank you", "if you can")
_TYPED = (
    (re.compile(r"(?<=\w)-(?=(?:hour|minute|second)s?\b)"), " "),
    (re.compile(r"\b(\d+)\.5[ -](hour|minute)s?\b"), r"\1 and a half \2s"),
    (re.compile(r"\b(\d+)[ -]?(?:hrs?|h)\b"), r"\1 hours"),
    (re.compile(r"\b(\d+)[ -]?mins?\b"), r"\1 minutes"),
    (re.compile(r"\b(\d+)[ -]?secs?\b"), r"\1 seconds"),
)
_MAY_BE_TYPED = re.compile(r"[-\d]")
_GAPS = re.compile(r"[\s;:!?\"“”()]+|[.…]+(?=\s|$)|(?<=\s)[-\u2013\u2014]+(?=\s)")
_COMMAS = re.compile(r"(?:\s*,)+\s*")
_LISTS_THINGS = re.compile(r"(?:add|put|remove|delete|take|(?:we|i) need) ")


class Trimmer:
    """Takes an utterance down to the command in it."""

    def __init__(self, names: Iterable[str]) -> None:
        called = "|".join(re.escape(name.casefold()) for name in names)
        before = "|".join((rf"(?:(?:hey|hi|hello|okay|ok) )?(?:{called})", *_BEFORE))
        self._before = re.compile(rf"(?:{before})[ ,]+(?=[^ ,])")
        self._after = re.compile(rf"(?<=[^ ,])(?<!\bno)[ ,]+(?:{'|'.join((called, *_AFTER))})[ ,]*$")

    def trim(self, text: str) -> str:
        """The command in lower case, without punctuation around words; fillers alone are kept."""
        text = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
        text = " ".join(_GAPS.sub(" ", text).split())
        if _MAY_BE_TYPED.search(text):
            for typed, spoken in _TYPED:
                text = typed.sub(spoken, text)
        while (shorter := self._once(text)) != text:
            text = shorter
        listed = " and " if _LISTS_THINGS.match(text) else " "
        return " ".join(_COMMAS.sub(listed, text.strip(" ,")).replace(" and and ", " and ").split())

    def _once(self, text: str) -> str:
        before = self._before.match(text)
        if before:
            text = text[before.end() :]
        return self._after.sub("", text)
