"""What is written is whole, and what is damaged is kept."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from mynah_resilience.files import set_aside, write_whole


def test_a_file_and_its_folders_are_made_for_its_owner_only(tmp_path):
    path = tmp_path / "a" / "b" / "kept.json"

    write_whole(path, b"first")
    write_whole(path, b"second")

    assert path.read_bytes() == b"second"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_what_the_disk_does_not_take_leaves_the_old_file_and_no_draft(tmp_path, monkeypatch):
    def broken(_descriptor):
        raise OSError(5, "Input/output error")

    path = tmp_path / "kept.json"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", broken)

    with pytest.raises(OSError, match="Input/output error"):
        write_whole(path, b"new")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_replaced_leaves_no_draft(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()

    with pytest.raises(IsADirectoryError):
        write_whole(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_many_writers_of_one_file_leave_what_one_of_them_wrote(tmp_path):
    path = tmp_path / "kept.json"
    contents = [bytes([number]) * 10_000 for number in range(32)]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda content: write_whole(path, content), contents))

    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


def test_each_damaged_file_is_kept_under_a_name_of_its_own(tmp_path):
    path = tmp_path / "store.db"
    for content in ("first", "second"):
        path.write_text(content)

        assert set_aside(path).read_text() == content

    assert sorted(file.name for file in tmp_path.iterdir()) == ["store.db.damaged-1", "store.db.damaged-2"]


def test_the_journals_of_a_database_stay_with_it(tmp_path):
    path = tmp_path / "store.db"
    path.write_text("file")
    (tmp_path / "store.db-wal").write_text("journal")
    (tmp_path / "store.db.damaged-1-wal").write_text("of another")

    set_aside(path)

    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {
        "store.db.damaged-1-wal": "of another",
        "store.db.damaged-2": "file",
        "store.db.damaged-2-wal": "journal",
    }


def test_a_journal_without_its_file_is_kept(tmp_path):
    (tmp_path / "store.db-wal").write_text("journal")

    aside = set_aside(tmp_path / "store.db")

    assert [file.name for file in tmp_path.iterdir()] == [f"{aside.name}-wal"]
