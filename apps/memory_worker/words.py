"""Finds the words of a question, and says them in the language of FTS5."""

import re
import unicodedata

MOST_WORDS = 32

# Numbers keep together (`3.5`, `10:30`): FTS5 takes what is quoted for words that stand next to each other.
WORD = re.compile(r"[0-9]+(?:[.,:][0-9]+)+|[^\W_]+")

STOP_WORDS = """
a about above after again all am an and any are as at be because been before being below between both but by can could
d did do does doing down during each few for from further had has have having he her here hers him himself his how i
if in into is it its itself just ll m me more most my myself no nor not now of off on once only or other our ours out
over own please re s said same say she should so some such t tell than that the their them then there these they this
those through to told too under until up us ve very was we were what when where which while who whom why with would
you your yours
"""
STOPPED = frozenset(STOP_WORDS.split())


def words(question: str) -> list[str]:
    """The words worth looking for, each once."""
    found = dict.fromkeys(WORD.findall(unicodedata.normalize("NFC", question).casefold()))
    return [word for word in found if word not in STOPPED][:MOST_WORDS]


def all_of(wanted: list[str]) -> str:
    """The FTS5 query for documents that hold every one of these words; as safe as `any_of`."""
    return " AND ".join(f'"{word}"' for word in wanted)


def any_of(wanted: list[str]) -> str:
    """The FTS5 query for documents that hold one of these words; there must be one.

    Safe for any words that `words` finds: nothing but letters, digits and inner points stands between the quotes.
    """
    return " OR ".join(f'"{word}"' for word in wanted)
