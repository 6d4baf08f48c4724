"""What stands on the arcs of a grammar: a word, or `written|spoken` where a word is not said as it is written.

"one|a" is written "one" and said "a"; "_" stands between the words of the spoken side.
"""

SAID_AS = "|"
JOINED = "_"


def written(label: str) -> str:
    """The word as it is written."""
    return label.partition(SAID_AS)[0]


def spoken(label: str) -> str:
    """The word or words as they are said."""
    return label.rpartition(SAID_AS)[2]
