"""The router's database."""

import sqlite3
from pathlib import Path

import pytest

from router_worker.shopping import ShoppingList
from router_worker.store import Store, StoreError


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "router.db"
    with Store(path) as store:
        ShoppingList(store).add(["milk"])
    with Store(path) as store:
        assert ShoppingList(store).items() == ("milk",)
    assert list(path.parent.glob("*damaged*")) == []


def test_it_writes_ahead_and_waits_for_the_disk(store: Store) -> None:
    with store.reading() as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_block_that_fails_leaves_nothing_behind(store: Store) -> None:
    shopping = ShoppingList(store)

    def things():
        yield "milk"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shopping.add(things())
    assert shopping.items() == ()
    shopping.add(["bread"])
    assert shopping.items() == ("bread",)


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_set_aside_and_said_so(tmp_path: Path, damage: bytes, caplog) -> None:
    path = tmp_path / "router.db"
    path.write_bytes(damage)
    with Store(path) as store:
        assert path.with_name("router.db.damaged-1").read_bytes() == damage
        assert "router.db.damaged-1" in caplog.text
        assert ShoppingList(store).items() == ()


def test_a_page_that_is_damaged_is_noticed_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    with Store(path) as store:
        ShoppingList(store).add([f"thing number {number}" for number in range(400)])
    content = bytearray(path.read_bytes())
    content[3 * 4096 : 3 * 4096 + 2000] = b"\x5a" * 2000
    path.write_bytes(content)
    with Store(path):
        assert path.with_name("router.db.damaged-1").read_bytes() == bytes(content)


def test_each_damaged_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    for _ in range(2):
        path.write_bytes(b"no database at all, and long enough to be looked at")
        with Store(path):
            pass
    assert sorted(file.name for file in tmp_path.glob("*damaged*")) == ["router.db.damaged-1", "router.db.damaged-2"]


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "router.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer version"), Store(path):
        pass
    assert path.exists()
    assert not list(tmp_path.glob("*damaged*"))


def test_a_place_that_cannot_be_written_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"router\.db cannot be opened"), Store(tmp_path / "file" / "router.db"):
        pass


def test_a_full_disk_is_an_error_and_the_store_goes_on(store: Store) -> None:
    shopping = ShoppingList(store)
    shopping.add(["milk"])
    with store.reading() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="full"):
            shopping.add([f"a thing with a rather long name, number {number}" for number in range(400)])
        connection.execute("PRAGMA max_page_count = 10000")
    shopping.add(["bread"])
    assert shopping.items() == ("milk", "bread")
