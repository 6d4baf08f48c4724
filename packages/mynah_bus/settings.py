"""How a process finds the broker and its place; environment, then .env, then mynah.toml, then defaults."""

import os
import re
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mynah_contracts import Role

CREDENTIALS = "credentials.json"
_KEPT: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def default_home() -> Path:
    """`$XDG_STATE_HOME/mynah`, by default ~/.local/state/mynah."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "mynah"


def kept_passwords(home: Path) -> dict[str, str]:
    """The passwords of the roles that a home holds; ValueError says what to do when they cannot be read."""
    path = home / CREDENTIALS
    if not path.is_file():
        return {}
    try:
        return _KEPT.validate_json(path.read_bytes())
    except ValidationError as error:
        why = error.errors(include_url=False, include_context=False, include_input=False)[0]["msg"]
        raise ValueError(f"{path} is damaged ({why}); move it away and start `mynah up` again.") from None


class MynahSettings(BaseSettings):
    """Where settings come from; each worker's settings derive from this with a prefix of their own."""

    model_config = SettingsConfigDict(
        env_prefix="MYNAH_",
        env_file=".env",
        toml_file="mynah.toml",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # pydantic calls it by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, over .env, over mynah.toml."""
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)


class BusSettings(MynahSettings):
    """The broker, and who we are to it."""

    broker_url: str = "mqtt://127.0.0.1:1883"
    """mqtt://host:port, or mqtts:// for TLS."""
    broker_username: str = ""
    """Empty: the user of the worker's role, with the password in MYNAH_HOME."""
    broker_password: SecretStr = SecretStr("")
    broker_password_file: Path | None = None
    """A file that holds the password, as Docker secrets do."""
    broker_ca: Path | None = None
    """Certificate authority for mqtts://, when it is not one that the machine trusts."""
    base: str = Field(default="mynah", pattern=r"^[a-z0-9_-]+(/[a-z0-9_-]+)*$")
    """First part of every topic."""
    instance: str = Field(default="", pattern=r"^[a-z0-9_-]{0,64}$")
    """Tells workers of one role apart; empty: made of host name and process."""
    home: Path = Field(default_factory=default_home)
    """State and credentials."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    def credentials(self, role: Role) -> tuple[str | None, str | None]:
        """User and password at the broker for a role; (None, None) when there are none."""
        password = self.broker_password.get_secret_value()
        if self.broker_password_file is not None:
            password = self.broker_password_file.read_text(encoding="utf-8").strip()
        if self.broker_username or password:
            return self.broker_username or role.value, password
        kept = kept_passwords(self.home).get(role.value)
        return (None, None) if kept is None else (role.value, kept)

    def instance_name(self) -> str:
        """The instance given, or one of this host and process."""
        host = re.sub(r"[^a-z0-9_-]", "-", socket.gethostname().lower())[:40] or "host"
        return self.instance or f"{host}-{os.getpid()}"
