"""How answers are thought of."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class LlmSettings(MynahSettings):
    """How answers are thought of."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_LLM_", toml_table_header=("llm",))

    engine: Literal["auto", "rules", "scripted"] = "auto"
    """`auto` takes the best one there is."""
    base_url: str = ""
    """Address of an OpenAI-compatible server."""
    memory_within: float = Field(default=5.0, gt=0)
    """Seconds for which the memory is waited for; then the answer does without it."""
