"""Answers to what people say to try an assistant out."""

import re

PREFIX = re.compile(r"^(?:(?:hey|ok|okay|so|well|please|and|oh)\s+)+(?=\S)")
NOT_A_WORD = re.compile(r"[^a-z' ]+")

HELP = (
    "I can do sums, convert units, tell a joke, and look up what you told me before. "
    "For everything else I need a language model, and none is configured."
)
JOKES = (
    "Why did the broker break up with the client? It never got an acknowledgement.",
    "I would tell you a joke about UDP, but you might not get it.",
    "Why do birds make good assistants? They always answer with a tweet.",
    "There are ten kinds of people: those who count in binary, and those who don't.",
    "What do you call a parrot that ran out of batteries? A polygon.",
)

# What is said, word for word, and the answer; `{name}` is the assistant's name.
TALK = tuple(
    (re.compile(said), answer)
    for said, answer in (
        (r"(?:hello|hi|hey|hiya|howdy|greetings|hello there|hi there|hey there)", "Hello! What can I do for you?"),
        (r"good (morning|afternoon|evening)", r"Good \1! What can I do for you?"),
        (r"(?:good night|goodbye|good bye|bye|bye bye|see you|see you later)", "Goodbye!"),
        (r"(?:how are you|how are you doing|how's it going|how do you do)(?: today)?", "I am well, thank you."),
        (
            r"(?:thanks|thank you|many thanks|thanks a lot|thank you very much|thank you so much|cheers)",
            "You're welcome.",
        ),
        (
            r"(?:who|what) are you|(?:what's|whats|what is) your name",
            "I am {name}, a voice assistant that runs on your own machine.",
        ),
        (r"are you (?:there|listening|awake)", "Yes, I am here."),
        (r"(?:i'm |i am )?sorry", "No harm done."),
        (r"(?:good|great|nice|well done|very good|good job|nice work|perfect|excellent)", "Thank you."),
        (r"help(?: me)?|what can (?:you|i) (?:do|say|ask)(?: you)?|what do you do", HELP),
    )
)
JOKE = re.compile(r"(?:can you |could you |do you )?(?:tell|know|say|make|give)?(?: me)? ?(?:a|another|one more) joke")


class SmallTalk:
    """Knows a few phrases by heart, and the jokes in turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._jokes_told = 0

    def answer(self, text: str) -> str | None:
        """The answer to a phrase; None when it is not known."""
        words = " ".join(NOT_A_WORD.sub(" ", text.lower().replace("’", "'")).split())  # noqa: RUF001  # of phones
        said = words.removeprefix(f"{self._name.lower()} ").removesuffix(f" {self._name.lower()}")
        return self._by_heart(said) or self._by_heart(PREFIX.sub("", said))

    def _by_heart(self, said: str) -> str | None:
        if JOKE.fullmatch(said):
            self._jokes_told += 1
            return JOKES[(self._jokes_told - 1) % len(JOKES)]
        for phrase, answer in TALK:
            if match := phrase.fullmatch(said):
                return match.expand(answer).replace("{name}", self._name)
        return None
