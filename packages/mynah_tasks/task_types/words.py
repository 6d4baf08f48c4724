"""English words, what they weigh in feeling, and which of them carry no meaning of their own."""

import re
from collections.abc import Iterator
from typing import NamedTuple


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


EMOTIONS: dict[str, frozenset[str]] = {
    "happy": _set("""
        happy glad joy joyful delighted cheerful love loved lovely great wonderful fantastic awesome
        beautiful fun funny laugh laughing smile smiling enjoy enjoyed thanks thank proud lucky sweet nice
        good best perfect yay
    """),
    "excited": _set("""
        excited exciting amazing incredible wow hooray thrilled thrilling eager adventure party surprise
        unbelievable finally hurry
    """),
    "angry": _set("""
        angry mad furious hate hated annoyed annoying rage stupid unfair terrible horrible worst awful
        disgusting idiot ridiculous damn fed outrageous liar
    """),
    "fearful": _set("""
        afraid scared scary fear frightened frightening terrified nervous worried worry anxious panic danger
        dangerous monster nightmare threat
    """),
    "sad": _set("""
        sad unhappy cry crying cried tears lonely alone miss missed lost sorry hurt pain broken hopeless
        miserable depressed disappointed tired grief died dead goodbye gone
    """),
    "calm": _set("""
        calm peaceful relaxed relax quiet gentle rest resting sleepy safe comfortable cozy easy
    """),
}
OPPOSITES = {"happy": "sad", "excited": "calm", "angry": "calm", "fearful": "calm", "sad": "happy", "calm": "fearful"}
NEGATIONS = _set("""
        not no never neither nor nothing don't doesn't didn't isn't wasn't aren't can't won't without
    """)
AMPLIFIERS = _set("""
        very so really extremely totally absolutely too such incredibly super
    """)
STOP_WORDS: dict[str, frozenset[str]] = {
    "en": _set("""
        the a an and or but if of to in on at by for with from as is are was were be been it its this that
        these those i you he she we they me him her us them my your his our their not no do does did have
        has had will would can could should what which who when where how there here so than then too very
        just about into over up out
    """),
    "de": _set("""
        der die das und oder aber wenn von zu in im auf an bei für mit aus als ist sind war waren sein es
        dies ich du er sie wir ihr mich dir ihm uns mein dein nicht kein ein eine einen einem einer den dem
        des haben hat hatte wird werden kann was wer wann wo wie hier dort so dann auch sehr nur über noch
        nach
    """),
    "fr": _set("""
        le la les un une des et ou mais si de du à au aux dans sur par pour avec ce cette ces est sont était
        être il elle je tu nous vous ils elles me te se mon ton son notre votre leur ne pas que qui quoi
        quand où comment très plus avoir a ont fait tout aussi
    """),
    "es": _set("""
        el la los las un una unos unas y o pero si de del a al en por para con es son era ser estar está
        este esta esto yo tú él ella nosotros ellos me te se mi tu su no que quien cuando donde como muy más
        hay ha han fue todo también
    """),
}
WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
SCOPE = 3
"""How many words a negation or an amplifier reaches."""


class Feeling(NamedTuple):
    """An emotional word, as it is meant where it stands."""

    word: str
    emotion: str
    weight: float


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, contractions whole."""
    return [word.lower().replace("\u2019", "'") for word in WORD.findall(text)]


def feelings(words: list[str]) -> Iterator[Feeling]:
    """The emotional words; what is negated means its opposite, half as much."""
    for place, word in enumerate(words):
        before = words[max(0, place - SCOPE) : place]
        weight = 1.0 + 0.5 * sum(other in AMPLIFIERS for other in before)
        negated = any(other in NEGATIONS for other in before)
        for emotion, known in EMOTIONS.items():
            if word in known:
                yield Feeling(word, OPPOSITES[emotion] if negated else emotion, weight / 2 if negated else weight)
