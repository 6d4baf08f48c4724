"""What is kept, and for how long."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class MemorySettings(MynahSettings):
    """What is kept, and for how long."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_MEMORY_", toml_table_header=("memory",))

    documents: int = Field(default=200_000, ge=1)
    """At most so many for each user; the oldest go first."""
    age_days: float | None = Field(default=None, gt=0)
    """What is older is forgotten; unset: nothing."""
    listen: bool = True
    """Whether what is said and answered is remembered."""
