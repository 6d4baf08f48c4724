"""How a failure is spoken about."""

import re
import textwrap

from router_worker.speakable import speakable

_LONGEST = 120
_TRACEBACK = re.compile(r"\s*(?:Traceback|\+ Exception Group)")
_CLASS = re.compile(r"^(?:[\w.]+\.)?\w*(?:Error|Exception|Timeout|Interrupt)(?::\s*|$)")


def error_sentence(reason: str) -> str:
    """One short sentence, whatever the reason looks like."""
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    # Of a traceback, the last line says what happened.
    said = lines[-1 if _TRACEBACK.match(reason) else 0] if lines else ""
    short = textwrap.shorten(speakable(_CLASS.sub("", said)), _LONGEST, placeholder="").rstrip(".!?:;,… ")
    return f"I encountered an error: {short or 'something went wrong'}."
