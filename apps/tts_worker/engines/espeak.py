"""Speaks with eSpeak NG, which needs no model: a robotic voice, in a hundred languages, at once."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

from tts_worker.engines import Chunk, SpeechError, UnknownVoiceError
from tts_worker.engines.espeak_library import Library, Manner, VoiceEntry, library
from tts_worker.engines.pieces import pieces
from tts_worker.engines.times import read_times


@dataclass(frozen=True)
class EspeakSettings:
    """How eSpeak NG sounds; raises ValueError for what it cannot do."""

    voice: str = "en-us"
    rate: int = 175
    """Words a minute, 80 to 450."""
    pitch: int = 50
    """0 to 100."""
    volume: int = 100
    """0 to 200; above 100 it may distort."""

    def __post_init__(self) -> None:
        for name, least, most in (("rate", 80, 450), ("pitch", 0, 100), ("volume", 0, 200)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be between {least} and {most}")


class Espeak:
    """The embedded engine; 22,050 samples a second in chunks of at most 50 ms.

    A voice is a language tag (`en-us`, `de`, `fr-FR`) or a name of the library's list, with or without one of the
    library's variants (`en-us+f3`). Names are looked up in that list and never reach the file system.
    """

    def __init__(self, settings: EspeakSettings | None = None) -> None:
        self._settings = settings or EspeakSettings()
        self._library: Library | None = None
        self._stops = 0

    def __enter__(self) -> Self:
        """Load the library and look the voice of the settings up; raises EngineMissingError, UnknownVoiceError."""
        opened = library()
        _identifier(opened, self._settings.voice)
        self._library = opened
        return self

    def __exit__(self, *_error: object) -> None:
        """Stop speaking; the library itself stays with the process."""
        self.stop()
        self._library = None

    @property
    def sample_rate(self) -> int:
        """Samples per second of every chunk."""
        return self._opened().sample_rate

    def voices(self) -> tuple[str, ...]:
        """The language tag of every voice, sorted."""
        return tuple(sorted({entry.languages[0][1] for entry in self._opened().voices if entry.languages}))

    def synthesize(self, text: str, voice: str | None = None) -> Iterator[Chunk]:
        """The spoken text; the first chunk takes a few milliseconds, the rest is made as it is asked for.

        Nothing in the text is a command: markup and phoneme codes are read out, control characters are blanks.
        """
        opened = self._opened()
        manner = Manner(
            _identifier(opened, voice or self._settings.voice),
            self._settings.rate,
            self._settings.pitch,
            self._settings.volume,
        )
        stops = self._stops
        plain = _plain(text)
        words = read_times(plain) if _is_english(manner.identifier) else plain
        return _speak(opened, manner, words, lambda: self._stops == stops)

    def stop(self) -> None:
        """End everything that is being spoken, within one chunk."""
        # Whoever speaks compares this with what it was at the start: nothing to clear, so nothing to race for.
        self._stops += 1

    def _opened(self) -> Library:
        if self._library is None:
            raise SpeechError("eSpeak NG is not open")
        return self._library


def _speak(opened: Library, manner: Manner, text: str, wanted: Callable[[], bool]) -> Iterator[Chunk]:
    # The library is locked while a piece is made and free while it is listened to.
    for piece in pieces(text):
        for chunk in opened.render(piece.text, manner, pause=piece.ends_clause, wanted=wanted):
            if not wanted():
                return
            yield chunk


def _plain(text: str) -> str:
    """The text as it may be given to C: valid UTF-8 without control characters, which eSpeak takes for commands."""
    valid = text.encode(errors="replace").decode()
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in valid)


def _identifier(opened: Library, voice: str) -> str:
    """The library's own identifier of a voice; raises UnknownVoiceError."""
    name, _, variant = voice.partition("+")
    base = _language(opened.voices, name) or _named(opened.voices, name)
    suffix = _named(opened.variants, variant) if variant else ""
    if base is None or suffix is None:
        raise UnknownVoiceError(f"eSpeak NG has no voice named {voice[:80]!r}; `espeak-ng --voices` lists those it has")
    return f"{base}+{suffix.removeprefix('!v/')}" if suffix else base


def _is_english(identifier: str) -> bool:
    return re.match(r"en\b", identifier.rpartition("/")[2].casefold()) is not None


def _language(entries: tuple[VoiceEntry, ...], tag: str) -> str | None:
    """The voice for a language; for one whose region has no voice of its own, that of the language."""
    wanted = tag.casefold().replace("_", "-")
    for candidate in (wanted, wanted.partition("-")[0]):
        ranked = [
            (rank, entry.identifier)
            for entry in entries
            for rank, name in entry.languages
            if name.casefold() == candidate
        ]
        if ranked:
            return min(ranked, key=lambda found: found[0])[1]
    return None


def _named(entries: tuple[VoiceEntry, ...], name: str) -> str | None:
    """The entry of that name, or whose identifier ends in it; upper and lower case are the same."""
    wanted = name.casefold()
    return next(
        (
            entry.identifier
            for entry in entries
            if wanted in (entry.name.casefold(), entry.identifier.rpartition("/")[2].casefold())
        ),
        None,
    )
