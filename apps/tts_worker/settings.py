"""How text is spoken."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class TtsSettings(MynahSettings):
    """How text is spoken."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_TTS_", toml_table_header=("tts",))

    engine: Literal["auto", "espeak", "scripted"] = "auto"
    """`auto` takes the best one there is."""
    voice: str = "en-us"
    """A language tag or a name that the engine knows."""
    rate: int = Field(default=175, ge=80, le=450)
    """Words a minute."""
    pitch: int = Field(default=50, ge=0, le=100)
    volume: int = Field(default=100, ge=0, le=200)
    hung_after: float = Field(default=30.0, gt=0)
    """Seconds after which speaking one text is given up, and the worker ends to be started again."""
