"""Grammars that were compiled before, in files named by what they were made of."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson

from mynah_resilience.files import write_whole
from stt_worker.grammar.grammar import Grammar

log = logging.getLogger(__name__)

FORMAT: Final = 1
"""Counts up when the same intents make another grammar, or it is written in another way."""
KEPT: Final = 8
"""How many grammars stay in the folder, the latest used."""


class GrammarCache:
    """Keeps grammars in a folder; a file that is damaged is as good as none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def grammar(self, intents: Mapping[str, Any], compiled: Callable[[], Grammar]) -> Grammar:
        """The grammar of these intents: read if it is there, else compiled and kept.

        Raises what `compiled` raises, and TypeError if the intents are not JSON.
        """
        path = self._folder / f"grammar-{_key(intents)}.json"
        grammar = self._read(path)
        if grammar is None:
            grammar = compiled()
            self._write(path, grammar)
        return grammar

    def _read(self, path: Path) -> Grammar | None:
        try:
            digest, _, content = path.read_bytes().partition(b"\n")
            path.touch()
        except OSError:
            return None
        if digest != _digest(content):
            log.warning("The grammar in %s is damaged and compiled again", path)
            return None
        fields = orjson.loads(content)
        return Grammar(
            language=fields["language"],
            arcs=tuple((state, to, label) for state, to, label in fields["arcs"]),
            finals=frozenset(fields["finals"]),
            pronunciations={label: tuple(ways) for label, ways in fields["pronunciations"].items()},
            dropped=fields["dropped"],
            templates=fields["templates"],
            lost_templates=fields["lost_templates"],
        )

    def _write(self, path: Path, grammar: Grammar) -> None:
        """Where it cannot be written, the next start takes longer and that is all."""
        content = orjson.dumps(
            {
                "language": grammar.language,
                "arcs": grammar.arcs,
                "finals": sorted(grammar.finals),
                "pronunciations": grammar.pronunciations,
                "dropped": grammar.dropped,
                "templates": grammar.templates,
                "lost_templates": grammar.lost_templates,
            }
        )
        try:
            write_whole(path, _digest(content) + b"\n" + content)
            for old in sorted(self._folder.glob("grammar-*.json"), key=lambda p: p.stat().st_mtime)[:-KEPT]:
                old.unlink(missing_ok=True)
        except OSError as error:
            log.warning("The grammar cannot be kept for the next start: %s", error)


def _key(intents: Mapping[str, Any]) -> str:
    made_of = orjson.dumps([FORMAT, version("hassil"), intents], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(made_of).hexdigest()


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
