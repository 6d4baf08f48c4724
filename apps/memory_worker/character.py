"""Who the assistant is: characters by name, one of them at a time, in one small JSON file."""

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mynah_resilience.files import set_aside, write_whole

log = logging.getLogger(__name__)

Name = Annotated[str, Field(min_length=1, max_length=80)]
Traits = Annotated[dict[Name, Annotated[int, Field(ge=0, le=100)]], Field(max_length=50)]
LARGEST_FILE = 10_000_000


class CharacterError(Exception):
    """The characters cannot be read or kept; the message says why, for people."""


class ImpossibleCharacterError(CharacterError):
    """No character can be like that."""


class Character(BaseModel):
    """Somebody the assistant can be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    description: str = Field(default="", max_length=2_000)
    system_prompt: str = Field(default="", max_length=20_000)
    voice: str = Field(default="", max_length=80)
    """What the speech engine calls it; blank is the engine's own choice."""
    traits: Traits = {}
    """How much of each, 0 to 100."""


MYNAH = Character(
    name="Mynah",
    description="A quick-witted bird that listens well and answers briefly.",
    system_prompt=(
        "You are Mynah, a voice assistant at home. Answer in one to three short spoken sentences, without lists, "
        "markup or emoji. Say so when you do not know something."
    ),
    traits={"honesty": 95, "humor": 30, "warmth": 70, "curiosity": 60, "brevity": 80},
)


class _Kept(BaseModel):
    """A character, and the traits it goes back to."""

    character: Character
    initial_traits: Traits


class _Cast(BaseModel):
    """The whole file."""

    current: str
    characters: dict[str, _Kept]

    @model_validator(mode="after")
    def _knows_the_current_one(self) -> Self:
        if self.current not in self.characters:
            raise ValueError("the current character is not among the characters")
        return self


class Characters:
    """The characters that can be chosen; upper and lower case are the same in their names.

    Every method blocks for one small file, which is read each time and replaced whole: another process may change it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing = threading.Lock()

    def current(self) -> Character:
        """Who the assistant is; raises CharacterError."""
        cast = self._read()
        return cast.characters[cast.current].character

    def change(  # one argument for each thing that can be changed
        self,
        name: str | None = None,
        *,
        description: str | None = None,
        system_prompt: str | None = None,
        voice: str | None = None,
        traits: Mapping[str, int] | None = None,
        reset_traits: bool = False,
    ) -> Character:
        """Who the assistant is after a change; what is None, and each trait that is not given, stays.

        A name that is known becomes the current character, which the other changes are made to; a new name makes a
        new character out of the current one. Raises ImpossibleCharacterError, CharacterError.
        """
        given = {"description": description, "system_prompt": system_prompt, "voice": voice}
        with self._changing:
            cast = self._read()
            current = cast.current if name is None else name.casefold()
            kept = cast.characters.get(current, cast.characters[cast.current])
            base = kept.initial_traits if reset_traits else kept.character.traits
            known_as = kept.character.name if current in cast.characters else name
            changes = {key: value for key, value in given.items() if value is not None}
            changed_traits = {**base, **(traits or {})}
            try:
                character = Character.model_validate(
                    {**kept.character.model_dump(), **changes, "name": known_as, "traits": changed_traits}
                )
            except ValidationError as error:
                raise ImpossibleCharacterError(f"No character can be like that: {_reason(error)}") from None
            changed = _Kept(character=character, initial_traits=kept.initial_traits)
            self._write(_Cast(current=current, characters={**cast.characters, current: changed}))
        return character

    def _read(self) -> _Cast:
        try:
            if self._path.stat().st_size > LARGEST_FILE:
                raise CharacterError(f"{self._path} is too large to hold characters")
            return _Cast.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            pass
        except ValidationError as error:
            copy = self._set_aside()
            log.error("The characters cannot be understood (%s): set aside as %s.", _reason(error), copy)  # noqa: TRY400  # the file is at fault, not the code
        except OSError as error:
            raise CharacterError(f"the characters at {self._path} cannot be read: {error.strerror}") from error
        name = MYNAH.name.casefold()
        return _Cast(current=name, characters={name: _Kept(character=MYNAH, initial_traits=MYNAH.traits)})

    def _write(self, cast: _Cast) -> None:
        try:
            write_whole(self._path, cast.model_dump_json(indent=2).encode())
        except OSError as error:
            raise CharacterError(f"the characters at {self._path} cannot be kept: {error.strerror}") from error

    def _set_aside(self) -> Path:
        try:
            return set_aside(self._path)
        except OSError as error:
            raise CharacterError(f"the damaged {self._path} cannot be set aside: {error.strerror}") from error


def _reason(error: ValidationError) -> str:
    """What is wrong first, on one line, without a word of what somebody wrote."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{first['loc'][0]}: {first['msg']}" if first["loc"] else first["msg"]
