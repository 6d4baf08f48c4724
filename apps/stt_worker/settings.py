"""How speech is understood."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class SttSettings(MynahSettings):
    """How speech is understood."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_STT_", toml_table_header=("stt",))

    engine: Literal["auto", "sphinx", "scripted"] = "auto"
    """`auto` takes the best one there is."""
    language: str = "en"
    hung_after: float = Field(default=8.0, gt=0)
    """Seconds beyond the length of a recording after which recognising it is given up and its process is killed."""
