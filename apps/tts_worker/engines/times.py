"""Times of day as a person reads them in English; eSpeak reads `3:05` as "three zero five"."""

import re
from typing import Final

_TIME: Final = re.compile(
    r"(?<![\d:.,])(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![\d:]|[.,]\d)(?P<half>\s?[AaPp](?:\.[Mm]\.|[Mm]\b))?"
)


def read_times(text: str) -> str:
    """The text with its times in words where figures would be misread: `3 oh 5 PM`, `3 o'clock`, `15 hundred`."""
    return _TIME.sub(_read, text)


def _read(time: re.Match[str]) -> str:
    hour, minute, half = int(time["hour"]), int(time["minute"]), time["half"] or ""
    if minute >= 10:  # noqa: PLR2004  # two figures are read well
        return time[0]
    if minute:
        return f"{hour} oh {minute}{half}"
    if half:
        return f"{hour}{half}"
    if hour == 0:
        return "midnight"
    return f"{hour} o'clock" if hour <= 12 else f"{hour} hundred"  # noqa: PLR2004  # noon
