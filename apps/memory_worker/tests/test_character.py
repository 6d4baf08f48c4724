"""Who the assistant is, and that no kill, damage or name can spoil it."""

import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_worker.character import (
    MYNAH,
    CharacterError,
    Characters,
    ImpossibleCharacterError,
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "characters.json"


@pytest.fixture
def characters(path):
    return Characters(path)


def test_the_first_character_is_there_without_a_file(characters, path):
    assert characters.current() == MYNAH
    assert not path.exists()


def test_a_change_outlives_a_restart_and_leaves_the_rest(characters, path):
    changed = characters.change(voice="de", traits={"humor": 90, "patience": 10})
    assert changed == Characters(path).current()
    assert (changed.voice, changed.traits) == ("de", MYNAH.traits | {"humor": 90, "patience": 10})
    assert (changed.name, changed.description, changed.system_prompt) == (
        MYNAH.name,
        MYNAH.description,
        MYNAH.system_prompt,
    )


def test_traits_go_back_to_what_they_were(characters):
    characters.change(traits={"humor": 0, "new": 1}, voice="de")
    assert characters.change(reset_traits=True) == MYNAH.model_copy(update={"voice": "de"})
    assert characters.change(reset_traits=True, traits={"humor": 1}).traits == MYNAH.traits | {"humor": 1}


def test_a_new_name_makes_a_new_character_of_the_current_one(characters):
    polly = characters.change("Polly", description="A parrot.")
    assert polly == MYNAH.model_copy(update={"name": "Polly", "description": "A parrot."})
    assert characters.current() == polly


def test_a_character_is_become_again_by_its_name_in_any_case(characters):
    tars = characters.change("Tars", traits={"humor": 100})
    assert characters.change("mynah") == MYNAH
    assert characters.change("TARS") == characters.current() == tars
    assert characters.change(reset_traits=True).traits == MYNAH.traits


@pytest.mark.parametrize(
    "wrong",
    [
        {"traits": {"humor": 101}},
        {"traits": {"humor": -1}},
        {"traits": {"": 1}},
        {"traits": {f"trait {number}": 1 for number in range(60)}},
        {"name": ""},
        {"name": "x" * 81},
        {"name": "\ud800"},
        {"system_prompt": "x" * 20_001},
    ],
)
def test_what_no_character_can_be_is_refused_and_nothing_changes(characters, path, wrong):
    with pytest.raises(ImpossibleCharacterError, match=r"^No character can be like that: \w+: [^\n]+$"):
        characters.change(**wrong)
    assert characters.current() == MYNAH
    assert not path.exists()


@pytest.mark.req("S12")
@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "..", "a\0b", "C:\\x", "%2e%2e", "CON"])
def test_a_name_is_looked_up_and_never_becomes_a_path(characters, path, name):
    assert characters.change(name).name == characters.current().name == name
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.req("F14")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\x80\x04K*.",
        b"\xff\xfe",
        b'{"current": "x", "characters": {}}',
        b'{"current": 1}',
        b"[" * 100_000,
        json.dumps({"current": "a", "characters": {"a": {"character": {"name": "a", "traits": {"x": 200}}}}}).encode(),
    ],
    ids=range(9),
)
def test_a_damaged_file_is_set_aside_and_said_to_be(characters, path, content, caplog):
    path.write_bytes(content)
    assert characters.current() == MYNAH
    assert path.with_name("characters.json.damaged-1").read_bytes() == content
    assert "set aside" in caplog.messages[0]
    assert len(caplog.messages[0].splitlines()) == 1
    assert characters.change(voice="de") == characters.current()


def test_a_file_that_is_too_large_is_not_read(characters, path):
    with path.open("wb") as file:
        file.truncate(10_000_001)
    with pytest.raises(CharacterError, match="too large"):
        characters.current()


def test_a_place_where_nothing_can_be_kept_is_explained(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CharacterError, match="characters"):
        Characters(tmp_path / "file" / "characters.json").change(voice="de")


def test_a_change_that_fails_half_way_leaves_the_old_file_and_nothing_else(path):
    characters = Characters(path)
    characters.change(voice="de")
    path.unlink()
    path.mkdir()
    (path / "in the way").touch()
    with pytest.raises(CharacterError):
        characters.change(voice="fr")
    assert [file.name for file in path.parent.iterdir()] == ["characters.json"]


def test_changes_from_many_threads_are_all_kept(characters, path):
    threads = [threading.Thread(target=characters.change, kwargs={"traits": {f"t{n}": n}}) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Characters(path).current().traits == MYNAH.traits | {f"t{n}": n for n in range(20)}


def test_the_file_is_for_its_owner_only(characters, path):
    characters.change(voice="de")
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.text(min_size=1, max_size=80), st.text(max_size=100))
@settings(deadline=None)
def test_any_text_is_kept_as_it_is(tmp_path_factory, name, prompt):
    characters = Characters(tmp_path_factory.mktemp("one") / "characters.json")
    changed = characters.change(name, system_prompt=prompt)
    assert (changed.name, changed.system_prompt) == (MYNAH.name if name.casefold() == "mynah" else name, prompt)
    assert characters.current() == changed
