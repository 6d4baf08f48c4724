"""Where a satellite hears and speaks."""

from typing import Literal

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from mynah_bus import MynahSettings


class SatelliteSettings(MynahSettings):
    """Where a satellite hears and speaks."""

    model_config = SettingsConfigDict(env_prefix="MYNAH_SATELLITE_", toml_table_header=("satellite",))

    name: str = Field(default="default", pattern=r"^[a-z0-9_-]{1,64}$")
    """Of the room; part of its topics."""
    source: str = ""
    """A WAV file, a FIFO, or `-` for standard input with 16 kHz mono 16-bit samples; empty: it only speaks."""
    sink: str = ""
    """A WAV file, a FIFO, or `-` for standard output; empty: what it says is not heard, but paced as if it were."""
    wake_word: Literal["okay_nabu", "hey_jarvis", "hey_mycroft", "alexa", ""] = ""
    """Empty: it always listens."""
    echo_free: bool = False
    """Whether the microphone does not hear the loudspeaker (headphones): then a voice alone interrupts an answer."""
