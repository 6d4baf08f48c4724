"""Settings: one example file, which says what the code reads."""

import pytest

from mynah.environment import FILE, SETTINGS, example


@pytest.mark.req("CFG-01")
def test_the_example_is_not_stale():
    assert FILE.read_text(encoding="utf-8") == example()


@pytest.mark.req("CFG-01")
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_the_defaults_of_the_example_are_those_of_the_code(settings, tmp_path, monkeypatch):
    lines = [line.removeprefix("# ") for line in example().splitlines() if line.startswith("# MYNAH_")]
    path = tmp_path / ".env"
    path.write_text("\n".join(line for line in lines if not line.endswith("=")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert settings(_env_file=path) == settings(_env_file=None)


@pytest.mark.req("CFG-02")
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.__name__)
def test_every_setting_says_what_it_is_or_speaks_for_itself(settings):
    described = [field.description for field in settings.model_fields.values()]
    assert sum(map(bool, described)) * 2 >= len(described)
