"""A disk that is full: what cannot be kept is refused in words, and kept again once there is room."""

import os
import subprocess
from pathlib import Path

import pytest

from mynah_bus import Bus, RequestFailed
from mynah_contracts import Answer, Ask, MemoryChanged, MemoryStore, Role

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(120),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system"),
]

SMALL = "size=2m"
MANY = 200


@pytest.fixture
def cramped(make_fleet, tmp_path):
    """A fleet whose memory and router write to file systems of 2 MiB."""
    folders = [tmp_path / name for name in ("memory", "router")]
    for folder in folders:
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", SMALL, "mynah-test", str(folder)], check=True)
    fleet = make_fleet()
    try:
        fleet.start()
        yield fleet
        fleet.stop()
    finally:
        for folder in folders:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4_096)):
                pass
        except OSError:
            return path
    raise AssertionError("The disk cannot be filled.")


async def remember_much(bus: Bus) -> None:
    for number in range(MANY):
        await bus.request(MemoryStore(text=f"note {number} " + "word " * 200), MemoryChanged, timeout=10)


async def set_many_timers(bus: Bus) -> None:
    for _ in range(MANY):
        await bus.request(Ask(text="set a timer for ten minutes"), Answer, timeout=20)


@pytest.mark.req("F11")
async def test_a_full_disk_is_told_in_words_and_what_comes_after_is_kept(cramped):
    before = cramped.pids()
    async with Bus(Role.GUEST, cramped.settings) as bus:
        await bus.until_up(Role.MEMORY, Role.ROUTER, timeout=10)
        ballast = [fill(cramped.home / name) for name in ("memory", "router")]

        with pytest.raises(RequestFailed) as refused:
            await remember_much(bus)
        assert refused.value.code not in {"bug", "timeout"}
        with pytest.raises(RequestFailed, match="encountered an error"):
            await set_many_timers(bus)
        assert (await bus.request(Ask(text="what time is it"), Answer, timeout=20)).reply

        for path in ballast:
            path.unlink()
        kept = await bus.request(MemoryStore(text="there is room again"), MemoryChanged, timeout=10)
        assert kept.stored == 1
        assert (await bus.request(Ask(text="set a timer for ten minutes"), Answer, timeout=20)).reply
    assert cramped.pids() == before  # nobody had to be started again
