import os
import subprocess
import sys
from pathlib import Path

import pytest

from mynah_resilience import FileCache
from mynah_resilience.file_cache import LOCK, PARTIAL
from mynah_resilience.testing import FakeClock

WRITER = str(Path(__file__).with_name("cache_writer.py"))


def only_file(directory: Path) -> Path:
    (path,) = (path for path in directory.iterdir() if not path.name.startswith("."))
    return path


def test_what_was_put_is_found_also_by_another_cache_on_the_same_directory(tmp_path: Path) -> None:
    FileCache(tmp_path / "new" / "cache").put("Guten Morgen!", b"wav")
    cache = FileCache(tmp_path / "new" / "cache")
    assert cache.get("Guten Morgen!") == b"wav"
    assert cache.get("Gute Nacht!") is None
    cache.put("Guten Morgen!", b"")
    assert cache.get("Guten Morgen!") == b""


def test_a_key_may_hold_anything_and_never_becomes_a_path(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache")
    for key in ("../../escape", "/etc/passwd", "a\0b", "x" * 10_000, ""):
        cache.put(key, key.encode())
        assert cache.get(key) == key.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, WRITER, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


@pytest.mark.req("CAC-01")
def test_a_hundred_writers_in_two_processes_tear_no_file(tmp_path: Path) -> None:
    writers = [start("hammer", tmp_path, seed) for seed in (0, 50)]
    assert [writer.communicate()[0] for writer in writers] == ["0\n", "0\n"]
    assert len(FileCache(tmp_path)) == 5


@pytest.mark.req("CAC-01")
@pytest.mark.parametrize("kill_after", [1, 2, 5])
def test_a_writer_that_is_killed_leaves_whole_values_and_no_rubbish(tmp_path: Path, kill_after: int) -> None:
    with start("for-ever", tmp_path) as writer:
        for _ in range(kill_after):
            assert writer.stdout.readline() == "put\n"
        writer.kill()
    cache = FileCache(tmp_path)
    value = cache.get("phrase")
    assert value == value[:1] * 1_000_000
    cache.put("phrase", b"y")
    assert {path.name for path in tmp_path.iterdir()} == {only_file(tmp_path).name, ".lock"}


def test_what_a_killed_writer_left_half_written_is_replaced(tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    (tmp_path / PARTIAL).write_bytes(b"half a value")
    assert (cache.get("phrase"), len(cache)) == (None, 0)
    cache.put("phrase", b"whole")
    assert cache.get("phrase") == b"whole"


@pytest.mark.parametrize("damage", [b"", b"short", b"\0" * 100])
def test_a_damaged_file_counts_as_missing(tmp_path: Path, damage: bytes) -> None:
    cache = FileCache(tmp_path)
    cache.put("phrase", b"value")
    only_file(tmp_path).write_bytes(damage)
    assert cache.get("phrase") is None
    cache.put("phrase", b"value")
    assert cache.get("phrase") == b"value"


async def test_a_value_grows_old_however_often_it_is_used(tmp_path: Path, clock: FakeClock) -> None:
    cache = FileCache(tmp_path, max_age=100, clock=clock)
    cache.put("old", b"1")
    await clock.advance(60)
    cache.put("young", b"2")
    assert cache.get("old") == b"1"
    await clock.advance(60)
    assert (cache.get("old"), cache.get("young")) == (None, b"2")
    cache.put("new", b"3")
    assert len(cache) == 2, "the old one is gone"


@pytest.mark.req("CAC-03")
async def test_what_was_used_longest_ago_goes_when_there_are_too_many(tmp_path: Path, clock: FakeClock) -> None:
    cache = FileCache(tmp_path, max_entries=16, clock=clock)
    for number in range(16):
        cache.put(f"ack {number}", b"wav")
        await clock.advance(1)
    assert cache.get("ack 0") == b"wav"
    cache.put("ack 16", b"wav")
    assert len(cache) == 16
    assert cache.get("ack 0") == b"wav"
    assert cache.get("ack 1") is None


async def test_what_was_used_longest_ago_goes_when_it_is_too_much(tmp_path: Path, clock: FakeClock) -> None:
    cache = FileCache(tmp_path, max_bytes=1000, clock=clock)
    for key in ("a", "b", "c"):
        cache.put(key, b"x" * 400)
        await clock.advance(1)
    assert [cache.get(key) is not None for key in ("a", "b", "c")] == [False, True, True]


@pytest.mark.req("CAC-03")
def test_a_full_cache_is_looked_through_once_for_many_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.append(path) or listdir(path))
    for number in range(400):
        FileCache(tmp_path, max_entries=320).put(f"phrase {number}", b"wav")
    assert len(looks) < 12
    assert 300 < len(FileCache(tmp_path)) <= 320


async def test_values_that_grow_old_one_by_one_are_not_looked_for_each_time(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[object] = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: looks.append(path) or listdir(path))
    for number in range(400):
        FileCache(tmp_path, max_age=100, clock=clock).put(f"phrase {number}", b"wav")
        await clock.advance(1)
    assert len(looks) < 120
    assert 100 <= len(FileCache(tmp_path)) <= 104


@pytest.mark.parametrize("notes", [b"", b"garbage", b"1 2", b"\xff\xff", b"nan nan nan"])
def test_what_is_not_known_about_the_values_is_looked_up(tmp_path: Path, notes: bytes) -> None:
    cache = FileCache(tmp_path, max_entries=2)
    for key in ("a", "b"):
        cache.put(key, b"1")
    (tmp_path / LOCK).write_bytes(notes)
    cache.put("c", b"1")
    assert len(cache) == 2


def test_replaced_and_removed_values_are_not_counted(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, max_bytes=1000, max_entries=2)
    for size in (900, 10, 900):
        cache.put("a", b"x" * size)
        cache.put("b", b"y" * 10)
        cache.remove("b")
        cache.remove("c")
        entries, noted, _ = (tmp_path / LOCK).read_text().split()
        assert (int(entries), int(noted)) == (1, only_file(tmp_path).stat().st_size)


def test_a_value_larger_than_the_whole_cache_displaces_nothing(tmp_path: Path) -> None:
    cache = FileCache(tmp_path, max_bytes=1000)
    cache.put("small", b"x")
    cache.put("huge", b"x" * 1000)
    assert (cache.get("huge"), cache.get("small")) == (None, b"x")


def test_values_can_be_removed(tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    cache.put("a", b"1")
    cache.put("b", b"2")
    cache.remove("a")
    cache.remove("never there")
    assert (cache.get("a"), cache.get("b")) == (None, b"2")
    cache.clear()
    assert len(cache) == 0


def test_a_disk_that_refuses_is_reported_and_the_old_value_stays(tmp_path: Path) -> None:
    cache = FileCache(tmp_path)
    cache.put("phrase", b"old")
    (tmp_path / PARTIAL).mkdir()
    with pytest.raises(IsADirectoryError):
        cache.put("phrase", b"new")
    assert cache.get("phrase") == b"old"


@pytest.mark.parametrize("wrong", [{"max_bytes": 0}, {"max_entries": 0}, {"max_age": 0}])
def test_a_cache_that_keeps_nothing_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="keeps something"):
        FileCache(tmp_path, **wrong)
