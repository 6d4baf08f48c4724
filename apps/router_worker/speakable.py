"""What is read aloud of a text that was written for the eye."""

import html
import re
from collections.abc import Callable

CODE_LEFT_OUT = "I leave out the code."

# Words with a space and at most one mark between them: nothing below changes it, and most sentences are no more.
_PROSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9']*(?:[.,!?]? [A-Za-z0-9][A-Za-z0-9']*)*[.!?]?")
_FENCE = re.compile(r"```+|~~~+")
_TAGS = "a|b|blockquote|br|code|dd|del|details|div|dl|dt|em|h[1-6]|hr|i|img|kbd|li|mark|ol|p|pre|s|small|span|strong|"
_TAGS += "sub|summary|sup|table|tbody|td|th|thead|tr|u|ul"
_ADDRESS = re.compile(r"(?:(?:https?|ftp)://|\bwww\.)[^\s<>\"'`|()\[\]]*", re.IGNORECASE)
_HOST = re.compile(r"(?:\w+://)?(?:[^/?#\s@]*@)?(?:www\.)*([^/?#:\s]*)", re.IGNORECASE)
_RULER = re.compile(r"[-*_=~|:+\s]+")
_MARKER = re.compile(r"(?:#{1,6}(?=\s)|>|[-*+•‣◦▪\u2013\u2014](?=\s)|\[[ xX]?\](?=\s))\s*")
_PAUSES = (".", "!", "?", ";", ":", ",", "…", "\u3002", "\uff01", "\uff1f")
_PICTURES = (
    "\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff\u20d0-\u20ff\ufe00-\ufe0f"
    "\U0001f000-\U0001faff\U000e0000-\U000e007f"
)
_UNSEEN = (
    "\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ue000-\uf8ff"
)

_INLINE: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(f"[{_UNSEEN}]"), ""),
    (re.compile(rf"<!--.*?-->|</?(?:{_TAGS})(?:\s[^<>]*)?/?>", re.IGNORECASE), " "),
    (re.compile(r"!?\[([^\[\]]*)\]\([^()]*\)"), r"\1"),
    (re.compile(r"\[\^[^\[\]]*\]"), ""),
    (re.compile(r"(?<=\])\[[^\[\]]*\]"), ""),
    (re.compile(r"\s*(?:→|⇒|[-=]+>)\s*"), " to "),
    (re.compile(rf"[{_PICTURES}]+"), " "),
    (re.compile(r"(?<!\w):[a-z][a-z_]+:(?!\w)"), " "),
    (re.compile(r"(?<=\d) ?\*\*? ?(?=\d)"), lambda found: " to the power of " if "**" in found[0] else " times "),
    (re.compile(r"\b([A-G])#(?!\w)"), r"\1 sharp"),
    (re.compile(r"#(?=\d)"), "number "),
    (re.compile(r"[*`\\#]|~~|\[|\]"), ""),
    (re.compile(r"_+"), " "),
    (re.compile(r"\s*\|\s*"), ", "),
    (re.compile(r"\s+"), " "),
    (re.compile(r"(?:(?<=[^.,;:!?…])|^) (?=[,.;:!?](?:\s|$))"), ""),
    (re.compile(r"([,;:])(?:\s*,)+"), r"\1"),
)


class Reader:
    """Reads one text that comes in parts; remembers between them whether it is inside a block of code."""

    def __init__(self) -> None:
        self._in_code = False
        self._told = False

    def read(self, part: str) -> str:
        """What is spoken of this part, on one line; empty if nothing is."""
        if _PROSE.fullmatch(part) and not self._in_code:
            return part
        prose: list[str] = []
        for number, piece in enumerate(_FENCE.split(html.unescape(part))):
            if number:
                self._in_code = not self._in_code
            if not self._in_code:
                prose.append(piece)
            elif not self._told:
                self._told = True
                prose.append(f"\n{CODE_LEFT_OUT}\n")
        text = "\n".join(prose)
        while (plainer := _plainer(text)) != text:
            text = plainer
        return text if any(character.isalnum() for character in text) else ""


def speakable(text: str) -> str:
    """What is spoken of a whole text: no markup, addresses or pictures; speaking the result changes nothing more."""
    return Reader().read(text)


def _plainer(text: str) -> str:
    lines = [line for line in map(_line, html.unescape(text).splitlines()) if line]
    paused = [line if line.endswith(_PAUSES) else f"{line}." for line in lines[:-1]]
    return " ".join([*paused, *lines[-1:]])


def _line(line: str) -> str:
    line = line.strip()
    if _RULER.fullmatch(line):
        return ""
    while marker := _MARKER.match(line):
        line = line[marker.end() :]
    line = _ADDRESS.sub(_host, line.strip("|"))
    for pattern, spoken in _INLINE:
        line = pattern.sub(spoken, line)
    return line.strip(" ,")


def _host(address: re.Match[str]) -> str:
    stopped = address[0].rstrip(".,;:!?*_")
    host = _HOST.match(stopped)
    return (host[1] if host else "") + address[0][len(stopped) :]
