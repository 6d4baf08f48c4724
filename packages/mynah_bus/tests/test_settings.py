"""Where settings come from, and that secrets stay secret."""

import os
import re
import stat
from pathlib import Path

import pytest
from pydantic import ValidationError

from mynah_bus import Bus, BusSettings
from mynah_bus.mosquitto import passwords
from mynah_bus.mqtt import Address
from mynah_contracts import Role


def test_without_any_setting_the_broker_of_this_machine_is_meant(tmp_path: Path) -> None:
    settings = BusSettings()
    assert settings.broker_url == "mqtt://127.0.0.1:1883"
    assert settings.base == "mynah"
    assert settings.home == tmp_path / "state" / "mynah"
    assert settings.credentials(Role.STT) == (None, None)


@pytest.mark.req("CFG-01", "CFG-02")
def test_the_environment_wins_over_the_env_file_over_the_toml_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert BusSettings().base == "mynah"
    Path("mynah.toml").write_text('base = "toml"\nlog_level = "DEBUG"\ninstance = "toml"\n', encoding="utf-8")
    assert BusSettings().base == "toml"
    Path(".env").write_text("MYNAH_BASE=dotenv\nMYNAH_INSTANCE=dotenv\n", encoding="utf-8")
    assert BusSettings().base == "dotenv"
    monkeypatch.setenv("MYNAH_BASE", "environment")
    settings = BusSettings()
    assert (settings.base, settings.instance, settings.log_level) == ("environment", "dotenv", "DEBUG")
    assert BusSettings(base="argument").base == "argument"


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        BusSettings().base = "other"  # type: ignore[misc]


@pytest.mark.parametrize("base", ["", "/", "Mynah", "a//b", "a/", "+", "#", "a b", "$share"])
def test_a_base_that_is_no_topic_is_refused(base: str) -> None:
    with pytest.raises(ValidationError):
        BusSettings(base=base)


@pytest.mark.parametrize("instance", ["a/b", "A", "x" * 65, "+"])
def test_an_instance_that_may_not_stand_in_a_topic_is_refused(instance: str) -> None:
    with pytest.raises(ValidationError):
        BusSettings(instance=instance)


def test_without_a_name_an_instance_is_its_host_and_process() -> None:
    name = BusSettings().instance_name()
    assert name.endswith(f"-{os.getpid()}")
    assert BusSettings(instance=name).instance_name() == name


def test_a_password_comes_from_a_file_as_docker_secrets_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from the file\n", encoding="utf-8")
    monkeypatch.setenv("MYNAH_BROKER_PASSWORD_FILE", str(tmp_path / "secret"))
    assert BusSettings().credentials(Role.STT) == ("stt", "from the file")
    monkeypatch.setenv("MYNAH_BROKER_USERNAME", "somebody")
    assert BusSettings().credentials(Role.STT) == ("somebody", "from the file")


def test_each_role_has_its_own_password_in_the_home(tmp_path: Path) -> None:
    made = passwords(tmp_path)
    assert set(made) == set(Role)
    assert len(set(made.values())) == len(Role)
    settings = BusSettings(home=tmp_path)
    assert settings.credentials(Role.TTS) == ("tts", made[Role.TTS])
    assert BusSettings(home=tmp_path, broker_password="given").credentials(Role.TTS) == ("tts", "given")


def test_passwords_stay_what_they_are_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    home = tmp_path / "home"
    made = passwords(home)
    kept = home / "credentials.json"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert passwords(home) == made
    kept.write_bytes(b'{"stt": "old"}')
    grown = passwords(home)
    assert grown[Role.STT] == "old"
    assert set(grown) == set(Role)
    assert [path.name for path in home.iterdir()] == ["credentials.json"]


@pytest.mark.req("F14")
@pytest.mark.parametrize("damage", [b"", b'{"tts": "x', b"\xff", b"[]", b'{"tts": 5}'])
def test_passwords_that_cannot_be_read_are_named_with_their_remedy(tmp_path: Path, damage: bytes) -> None:
    kept = tmp_path / "credentials.json"
    kept.write_bytes(damage)
    sentence = rf"^{re.escape(str(kept))} is damaged \(.+\); move it away and start `mynah up` again\.$"
    with pytest.raises(ValueError, match=sentence):
        passwords(tmp_path)
    with pytest.raises(ValueError, match=sentence):
        BusSettings(home=tmp_path).credentials(Role.TTS)
    assert kept.read_bytes() == damage


def test_no_secret_is_shown() -> None:
    settings = BusSettings(broker_password="sesame")
    assert "sesame" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://host", Address("host", 1883, False, None, None)),
        ("mqtt://host:1884", Address("host", 1884, False, None, None)),
        ("mqtts://host", Address("host", 8883, True, None, None)),
        ("mqtt://me:p%40ss@host", Address("host", 1883, False, "me", "p@ss")),
    ],
)
def test_a_broker_url_says_where_and_who(url: str, address: Address) -> None:
    assert Address.parse(url) == address


@pytest.mark.parametrize("url", ["", "host:1883", "http://host", "mqtt://", "mqtt://host:port"])
def test_a_url_that_is_none_is_refused_in_one_sentence(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Address.parse(url)


async def test_a_broker_that_does_not_answer_is_said_by_name() -> None:
    with pytest.raises(ConnectionError, match=r"^No broker answers at 127\.0\.0\.1:1\.$"):
        async with Bus(Role.STT, BusSettings(broker_url="mqtt://127.0.0.1:1")) as bus:
            await bus.ready(0.2)
