"""Tells and changes who the assistant is."""

import functools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from memory_worker.character import Character as Persona
from memory_worker.character import CharacterError, Characters, ImpossibleCharacterError
from mynah_bus import EngineFailed, MynahError, handles, in_thread, produces
from mynah_contracts import Character, CharacterGet, CharacterResult, CharacterUpdate


class Persons:
    """The characters of one home."""

    def __init__(self, path: Path) -> None:
        self._characters = Characters(path)

    @produces
    async def presence(self) -> AsyncIterator[Character]:
        """Tell once who the assistant is."""
        yield Character(**_fields(await self._now()))

    @handles
    async def get(self, _: CharacterGet) -> CharacterResult:
        """Tell whoever asks."""
        return CharacterResult(**_fields(await self._now()))

    @handles
    async def update(self, change: CharacterUpdate) -> AsyncIterator[CharacterResult | Character]:
        """Change it, and tell everybody."""
        changing = functools.partial(
            self._characters.change,
            change.name,
            description=change.description,
            system_prompt=change.system_prompt,
            voice=change.voice,
            traits=change.traits,
            reset_traits=change.reset_traits,
        )
        try:
            fields = _fields(await in_thread(changing))
        except ImpossibleCharacterError as error:
            raise MynahError(f"{error}.", code="refused") from error
        except CharacterError as error:
            raise EngineFailed(str(error)) from error
        yield CharacterResult(**fields)
        yield Character(**fields)

    async def _now(self) -> Persona:
        try:
            return await in_thread(self._characters.current)
        except CharacterError as error:
            raise EngineFailed(str(error)) from error


def _fields(persona: Persona) -> dict[str, Any]:
    return persona.model_dump()
