"""Answers questions about what was said before, from what the memory found."""

import re

from llm_worker.engines import Memory, Turn

MOST_QUOTED = 3
LONGEST_QUOTE = 300
UNREACHABLE = "I can't reach my memory right now."

_SAID = "say|said|tell|told|mention|mentioned"
# Questions about the past, with who spoke and of what; to these, nothing is an answer, too.
ABOUT_THE_PAST = (
    re.compile(
        rf"what (?:did|have|had) (?P<who>i|you) (?:ever |already )?(?:{_SAID})(?: (?:to )?(?:you|me))?"
        r"(?: about (?P<topic>.+))?"
    ),
    re.compile(
        rf"(?:did|have|had) (?P<who>i|you) (?:ever |already )?(?:{_SAID}) (?:(?:to )?(?:you|me) )?"
        r"(?:anything |something )?about (?P<topic>.+)"
    ),
    re.compile(r"(?P<who>)(?:what )?do you (?:remember|recall)(?: (?:anything |something )?(?:about )?(?P<topic>.+))?"),
)
# Questions that the past may answer.
ABOUT_ANYTHING = (
    re.compile(r"what do you know about (?P<topic>.+)"),
    re.compile(r"(?:what|what's|whats|who|who's|where|where's|when|when's|which|how)(?: .+)? my (?P<topic>.+)"),
)
SPEAKERS = {"i": ("user",), "you": ("assistant",), "": ("user", "assistant")}
LAST_THING = re.compile(r"what did i (?:just say|say (?:last|before|just now))")
TO_REMEMBER = re.compile(r"(?:please )?(?:remember|keep in mind|don't forget|do not forget)(?: that)? .+")

# Words that say nothing about a topic.
EMPTY_WORDS = """
a about an and any are at be been but by called did do does for from had has have he her him his how i in is it its me
my of on or our said say she so tell that the their them there they this to told us was we were what when where which
who whom whose why will with you your
"""
EMPTY = frozenset(EMPTY_WORDS.split())
QUESTION_WORDS = ("what ", "who ", "where ", "when ", "which ", "how ", "why ", "did i ", "do you ", "have i ")
YOURS = {"i": "you", "me": "you", "my": "your", "mine": "yours", "myself": "yourself"}
MINE = re.compile(rf"\b(?:{'|'.join(YOURS)})\b")
WORD = re.compile(r"[^\W_]+")
STEM_LENGTH = 4


def recall(question: str, memories: tuple[Memory, ...] | None, history: tuple[Turn, ...]) -> str | None:
    """The answer to a question about what was said before, quoting it; None when it is no such question.

    A question about something of the speaker's (`where are my keys`) is one only if the memory knows an answer.
    """
    text = " ".join(question.lower().split()).rstrip(" ?!.")
    if LAST_THING.fullmatch(text):
        return _last(history)
    if TO_REMEMBER.fullmatch(text):
        return UNREACHABLE if memories is None else "I will remember that."
    for pattern in ABOUT_THE_PAST:
        if match := pattern.fullmatch(text):
            if memories is None:
                return UNREACHABLE
            said = tuple(memory for memory in memories if memory.speaker in SPEAKERS[match["who"]])
            return _quotes(match["topic"], said) or _nothing(match["topic"])
    for pattern in ABOUT_ANYTHING:
        if match := pattern.fullmatch(text):
            return _quotes(match["topic"], memories or ())
    return None


def _quotes(topic: str | None, memories: tuple[Memory, ...]) -> str | None:
    relevant = [memory for memory in memories if _is_about(memory, topic)]
    return " ".join(_quoted(memory) for memory in relevant[:MOST_QUOTED]) or None


def _nothing(topic: str | None) -> str:
    if topic is None:
        return "I don't remember anything yet."
    return f"I don't remember anything about {_shortened(MINE.sub(lambda word: YOURS[word[0]], topic))}."


def _last(history: tuple[Turn, ...]) -> str:
    said = next((turn.content for turn in reversed(history) if turn.role == "user"), None)
    return "You have not said anything before that." if said is None else _quoted(Memory(said))


def _is_about(memory: Memory, topic: str | None) -> bool:
    """Whether something remembered is a statement that shares a word with the topic."""
    if memory.text.strip().endswith("?") or memory.text.lower().lstrip().startswith(QUESTION_WORDS):
        return False
    asked = _stems(topic or "")
    return not asked or bool(asked & _stems(memory.text))


def _stems(text: str) -> set[str]:
    """The words that carry meaning, cut so that `keys` and `key`, `running` and `run` meet."""
    words = set(WORD.findall(text.lower())) - EMPTY
    return {word[:STEM_LENGTH] if word.isalpha() else word for word in (word.removesuffix("s") for word in words)}


def _quoted(memory: Memory) -> str:
    text = _shortened(" ".join(memory.text.split())).rstrip(".")
    return f"{'You' if memory.speaker == 'user' else 'I'} said: “{text}.”"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE].rsplit(' ', 1)[0]}…"
