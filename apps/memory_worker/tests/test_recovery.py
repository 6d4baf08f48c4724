"""A damaged file is set aside and said to be, what can be read of it is kept, and it is never taken for a new one."""

import random
import shutil
import sqlite3
from contextlib import closing

import pytest

from memory_worker.documents import Entry, Question
from memory_worker.errors import MemoryStoreError, StoreBusyError, StoreDamagedError
from memory_worker.store import Store

DOCUMENTS = 300
PAGE = 4_096


def fill(path):
    with Store(path) as store:
        for number in range(DOCUMENTS):
            store.add(
                Entry(f"m{number}", f"tea number {number} " + "and more " * 20, "user", float(number), user="anna")
            )


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "memory.db"
    fill(path)
    return path


@pytest.fixture
def path(sound, tmp_path):
    return shutil.copy(sound, tmp_path / "memory.db")


def overwrite(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def garbage(size, seed=0):
    return random.Random(seed).randbytes(size)


DAMAGE = {
    "nothing left": lambda path: path.write_bytes(b""),
    "one byte left": lambda path: path.write_bytes(b"S"),
    "header alone left": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "one page left": lambda path: path.write_bytes(path.read_bytes()[:PAGE]),
    "half left": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "last page lost": lambda path: path.write_bytes(path.read_bytes()[:-PAGE]),
    "last byte lost": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "header zeroed": lambda path: overwrite(path, 0, bytes(100)),
    "header garbage": lambda path: overwrite(path, 0, garbage(100)),
    "schema garbage": lambda path: overwrite(path, 100, garbage(PAGE - 100)),
    "zeros only": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage only": lambda path: path.write_bytes(garbage(path.stat().st_size)),
    "a text file": lambda path: path.write_text("hello\n" * 1_000),
    "somebody else's database": lambda path: (path.unlink(), _foreign(path)),
    "journal without its file": lambda path: (
        path.unlink(),
        path.with_name("memory.db-wal").write_bytes(garbage(9_000)),
    ),
    **{
        f"page {page} garbage": lambda path, page=page: overwrite(path, page * PAGE, garbage(PAGE, page))
        for page in (2, 5, 8, 11, 14, 17, 20)
    },
}


def _foreign(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE documents(anything)")
        connection.execute("PRAGMA application_id = 7")
        connection.commit()


@pytest.mark.req("F14")
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_noticed_set_aside_and_survived(path, damage, caplog, count):
    DAMAGE[damage](path)
    with Store(path) as store:
        kept = count(store)
        assert store.recovery is not None or kept == DOCUMENTS
        if store.recovery and store.recovery.copy:
            copies = [file.name for file in path.parent.glob("memory.db.damaged-*")]
            assert copies
            assert all(name.startswith(store.recovery.copy.name) for name in copies)
            assert "set aside" in caplog.text
            assert store.recovery.rescued == kept
        assert store.add(Entry("new", "fresh coffee", "user", 1.0, user="anna"))
        assert [found.id for found in store.query(Question("coffee", user="anna")).documents] == ["new"]
        assert len(store.query(Question("tea", user="anna", top_k=50)).documents) == min(50, kept)
    with Store(path) as again:
        assert again.recovery is None
        assert count(again) == kept + 1


def test_every_page_in_turn_may_be_lost(path, sound, count):
    for page in range(1, sound.stat().st_size // PAGE, 3):
        shutil.copy(sound, path)
        overwrite(path, page * PAGE, garbage(PAGE, page))
        with Store(path) as store:
            assert store.recovery is not None or count(store) == DOCUMENTS
            assert store.add(Entry("new", "fresh coffee", "user", 1.0))


def test_what_can_be_read_of_a_damaged_file_is_still_remembered(path, count):
    with closing(sqlite3.connect(path)) as connection:
        pages = [
            number
            for (number,) in connection.execute(
                "SELECT pageno FROM dbstat WHERE name = 'documents' AND pagetype = 'leaf'"
            )
        ]
    overwrite(path, (pages[len(pages) // 2] - 1) * PAGE, garbage(PAGE))
    with Store(path) as store:
        assert store.recovery.copy.exists()
        assert DOCUMENTS * 0.8 < store.recovery.rescued < DOCUMENTS
        assert count(store, "anna") == store.recovery.rescued
        assert [found.id for found in store.query(Question("number 0", user="anna", top_k=1)).documents] == ["m0"]
        assert [found.id for found in store.query(Question("299", user="anna")).documents] == ["m299"]


def test_what_is_left_of_a_file_that_was_cut_off_is_still_remembered(path, count):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PAGE)
    with Store(path) as store:
        assert DOCUMENTS * 0.8 < store.recovery.rescued == count(store, "anna")
        assert [found.id for found in store.query(Question("number 0", user="anna", top_k=1)).documents] == ["m0"]


def test_a_damaged_letter_costs_no_document(path):
    overwrite(path, path.read_bytes().index(b"tea number 7 "), b"\xff")
    with Store(path) as store:
        (found,) = store.query(Question("7", user="anna")).documents
        assert (found.id, found.text[:12]) == ("m7", "\N{REPLACEMENT CHARACTER}ea number 7")


def test_a_damaged_index_is_made_again_and_nothing_is_lost(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM words_data WHERE id > 10")
        connection.commit()
    with Store(path) as store:
        assert (store.recovery.copy, store.recovery.rescued) == (None, DOCUMENTS)
        assert len(store.query(Question("tea", user="anna", top_k=50)).documents) == 50


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.7, 0.99])
def test_a_journal_that_breaks_off_leaves_an_earlier_state(tmp_path, kept, count):
    with Store(tmp_path / "live.db") as store:
        for number in range(50):
            store.add(Entry(f"m{number}", f"tea number {number}", "user", float(number)))
        # As a crash would leave it: nothing has been written back from the journal.
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"memory.db{suffix}")
    journal = tmp_path / "memory.db-wal"
    journal.write_bytes(journal.read_bytes()[: int(journal.stat().st_size * kept)])
    with Store(tmp_path / "memory.db") as store:
        assert store.recovery is None
        left = count(store)
        assert left < 50
        assert len(store.query(Question("tea", top_k=50)).documents) == left


@pytest.mark.parametrize("left", [None, b""])
def test_a_journal_whose_file_is_lost_is_kept_as_it_is(tmp_path, left, count):
    journal = garbage(9_000)
    (tmp_path / "memory.db-wal").write_bytes(journal)
    if left is not None:
        (tmp_path / "memory.db").write_bytes(left)
    with Store(tmp_path / "memory.db") as store:
        copy = store.recovery.copy
        assert copy.with_name(f"{copy.name}-wal").read_bytes() == journal
        assert count(store) == 0


def test_damage_while_the_file_is_open_is_an_error_and_not_an_empty_answer(path):
    with Store(path) as store:
        overwrite(path, PAGE, garbage(path.stat().st_size - PAGE))
        with pytest.raises(StoreDamagedError, match="damaged"):
            store.query(Question("tea", user="anna"))
    with Store(path) as store:
        assert store.recovery.copy.exists()


def test_a_broken_lock_file_does_no_harm(path, count):
    path.with_name("memory.db-shm").write_bytes(garbage(32_768))
    with Store(path) as store:
        assert (store.recovery, count(store)) == (None, DOCUMENTS)


def test_each_damaged_file_is_kept_under_a_name_of_its_own(path):
    for _ in range(3):
        path.write_text("damaged")
        with Store(path) as store:
            assert store.recovery.copy.read_text() == "damaged"
    assert len(list(path.parent.glob("memory.db.damaged-*"))) == 3


def test_a_file_of_a_newer_version_is_left_alone(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(MemoryStoreError, match="newer"), Store(path):
        pytest.fail("opened")
    assert path.read_bytes() == before


EARLIER = """
BEGIN;
DROP TRIGGER documents_removed;
CREATE TABLE vectors(
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL UNIQUE,
    model TEXT NOT NULL,
    vector BLOB NOT NULL
);
CREATE TABLE changes(forgotten INTEGER NOT NULL);
INSERT INTO changes VALUES (0);
CREATE TRIGGER documents_removed AFTER DELETE ON documents BEGIN
    INSERT INTO words(words, rowid, text) VALUES ('delete', old.id, old.text);
    DELETE FROM vectors WHERE document = old.id;
    UPDATE users SET documents = documents - 1 WHERE number = old.id >> 32;
END;
PRAGMA user_version = 1;
COMMIT;
"""
"""Makes a file what version 1 would have made it."""


def make_earlier(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(EARLIER)
        connection.execute("INSERT INTO vectors(document, model, vector) SELECT id, 'a model', x'00' FROM documents")
        connection.commit()


def schema(path):
    with closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        tables = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'")
        return version, dict(tables.fetchall())


def test_a_file_of_an_earlier_version_becomes_one_of_ours_and_keeps_its_documents(path, sound, count):
    make_earlier(path)
    with Store(path) as store, Store(path) as other:
        assert (store.recovery, count(other, "anna")) == (None, DOCUMENTS)
        assert [found.id for found in store.query(Question("299", user="anna")).documents] == ["m299"]
        assert store.add(Entry("new", "fresh coffee", "user", 1.0, user="anna"))
        assert store.forget_about("anna", "tea") == DOCUMENTS
    assert schema(path) == schema(sound)


def test_an_earlier_file_that_is_in_use_is_left_as_it_is(path):
    make_earlier(path)
    before = schema(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusyError), Store(path, patience_s=0.05):
            pytest.fail("opened")
    assert schema(path) == before


def test_what_can_be_read_of_a_damaged_file_of_an_earlier_version_is_still_remembered(path, count):
    make_earlier(path)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - PAGE)
    with Store(path) as store:
        assert DOCUMENTS * 0.8 < store.recovery.rescued == count(store, "anna")


def test_a_new_file_is_nothing_to_report(tmp_path, count):
    with Store(tmp_path / "memory.db") as store:
        assert (store.recovery, count(store)) == (None, 0)
