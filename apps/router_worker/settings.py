"""How the assistant talks with people."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class RouterSettings(MynahSettings):
    """How the assistant talks with people."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_ROUTER_", toml_table_header=("router",))

    filler_s: float = Field(default=1.9, gt=0)
    """Seconds of thinking after which it says that it is working on it."""
    answer_s: float = Field(default=30.0, gt=0)
    """Seconds from the end of a question within which an answer begins, or an error is said."""
    hours: Annotated[Literal[12, 24], BeforeValidator(int)] = 12
    """How the time is told."""
    default_satellite: str = Field(default="default", pattern=r"^[a-z0-9_-]{1,64}$")
    """Where is spoken what was asked nowhere, such as a transcript published by hand."""
