"""`mynah up` as a supervisor: how it ends, what it leaves behind, and what it says when something cannot run."""

import asyncio
import os
import re
import signal
import subprocess

import numpy as np
import pytest

from mynah_audio.pcm import SAMPLE_RATE, to_bytes
from mynah_bus import Bus, RequestFailed
from mynah_bus.packet import Packet
from mynah_bus.wire import decode
from mynah_contracts import Accepted, Role, Transcribe, Transcript

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")


@pytest.mark.req("SHD-02", "R10")
def test_a_terminal_that_is_closed_ends_everything_in_order_and_in_time(own_fleet):
    family = own_fleet.children()
    assert len(family) >= 7

    own_fleet.process.send_signal(signal.SIGHUP)

    assert own_fleet.process.wait(10) == 0
    assert own_fleet.gone(family, 0.0)
    assert not [line for line in own_fleet.lines if "Traceback" in line]


@pytest.mark.req("SHD-01", "SHD-02", "SHD-05", "MQ-11")
async def test_what_was_accepted_is_finished_within_the_grace_and_what_takes_longer_is_given_up(make_fleet):
    fleet = make_fleet("--scale", "stt=2")
    fleet.start()
    family = fleet.children()
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 200 * SAMPLE_RATE, np.int16)
    async with Bus(Role.GUEST, fleet.settings) as bus:
        await bus.until_up(Role.STT, timeout=10)
        accepted = accepts(bus)
        short, long = (
            asyncio.create_task(bus.request(Transcribe(audio=to_bytes(noise[: seconds * SAMPLE_RATE])), timeout=30))
            for seconds in (6, 200)
        )
        async with asyncio.timeout(10):
            for _ in range(2):
                await accepted.get()

        fleet.process.send_signal(signal.SIGTERM)

        assert await asyncio.to_thread(fleet.process.wait, 10) == 0
        assert fleet.gone(family, 0.0)
        assert isinstance(await short, Transcript)
    with pytest.raises(RequestFailed):
        await long
    assert not [line for line in fleet.lines if "killed" in line or "Traceback" in line]


def accepts(bus: Bus) -> asyncio.Queue[Accepted]:
    """What workers say once they are at work on a request of this bus."""
    accepted: asyncio.Queue[Accepted] = asyncio.Queue()
    behind = bus.link.on_packet

    def tap(packet: Packet) -> None:
        if packet.topic.startswith(bus.reply_topic) and isinstance(message := decode(packet, None).message, Accepted):
            accepted.put_nowait(message)
        behind(packet)

    bus.link.on_packet = tap
    return accepted


@pytest.mark.req("SHD-05")
async def test_a_second_signal_ends_it_at_once(own_fleet):
    noise = np.random.default_rng(1).integers(-9_000, 9_000, 200 * SAMPLE_RATE, np.int16)
    family = own_fleet.children()
    async with Bus(Role.GUEST, own_fleet.settings) as bus:
        await bus.until_up(Role.STT, timeout=10)
        accepted = accepts(bus)
        asking = asyncio.create_task(bus.request(Transcribe(audio=to_bytes(noise)), timeout=30))
        async with asyncio.timeout(10):
            await accepted.get()
        own_fleet.process.send_signal(signal.SIGINT)
        await asyncio.to_thread(own_fleet.until_said, "Ctrl-C again", 5)

        own_fleet.process.send_signal(signal.SIGINT)

        assert await asyncio.to_thread(own_fleet.process.wait, 4) == 130  # less than the grace
        assert own_fleet.gone(family, 1.0)
    with pytest.raises(RequestFailed):
        await asking


def test_what_is_kept_is_for_its_owner_only(own_fleet):
    own_fleet.json("ask", "remember that I like tea")
    own_fleet.process.send_signal(signal.SIGTERM)
    assert own_fleet.process.wait(15) == 0

    home = own_fleet.settings.home
    open_to_others = [path for path in (home, *home.rglob("*")) if path.lstat().st_mode & 0o077]

    assert len(list(home.rglob("*"))) > 10
    assert open_to_others == []


@pytest.mark.req("I6")
def test_a_supervisor_that_is_killed_leaves_no_orphan(own_fleet):
    family = own_fleet.children()

    own_fleet.process.kill()

    assert own_fleet.gone(family, 10.0)


@pytest.mark.req("CFG-02", "F13")
def test_a_home_that_cannot_be_written_is_one_sentence(make_fleet, tmp_path):
    (tmp_path / "file").touch()
    fleet = make_fleet(MYNAH_HOME=str(tmp_path / "file" / "home"))

    done = fleet.mynah("up", check=False)

    assert done.returncode == 1
    assert re.fullmatch(r"mynah: .*/file/home cannot be written \(.*\); set MYNAH_HOME .*\n", done.stderr)


@needs_root
@pytest.mark.req("F13")
def test_a_read_only_home_is_one_sentence(make_fleet, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "mynah-test", str(home)], check=True)
    try:
        done = make_fleet(MYNAH_HOME=str(home)).mynah("up", check=False)
    finally:
        subprocess.run(["umount", str(home)], check=True)

    assert done.returncode == 1
    assert (
        done.stderr
        == f"mynah: {home} cannot be written (Read-only file system); set MYNAH_HOME to a folder of yours.\n"
    )


def test_a_second_fleet_in_the_same_home_is_refused_in_one_sentence(fleet):
    done = fleet.mynah("up", check=False)

    assert done.returncode == 1
    assert done.stderr == f"mynah: Mynah is already up here, with process {fleet.process.pid}.\n"


@pytest.mark.req("F18")
def test_a_worker_that_dies_before_it_can_say_why_is_spoken_for(make_fleet):
    fleet = make_fleet(MYNAH_TTS_ENGINE="no such engine")
    fleet.launch()

    fleet.until_said("tts/1        │ ended with exit code 1; starting it again in 2 s.", 60)

    found = fleet.mynah("doctor", check=False).stdout
    assert re.search(r"✗ tts/1: It dies again and again; its last words: .*", found), found


@pytest.mark.req("F18")
def test_a_worker_that_cannot_open_says_why_and_is_tried_less_and_less_often(make_fleet, tmp_path):
    fleet = make_fleet()
    (tmp_path / "memory").touch()  # where its folder should be
    fleet.launch()

    line = fleet.until_said("again and again", 60)

    assert re.search(r"its last words: .*File exists.*memory", line)
    pauses = [
        float(found[1])
        for found in (re.search(r"memory/1.*again in ([\d.]+) s", line) for line in fleet.lines)
        if found
    ]
    assert pauses == [0.25 * 2**n for n in range(len(pauses))]
    assert "42" in fleet.json("ask", "what is twelve plus thirty")["reply"]
    assert re.search(r"memory/1: .*File exists", fleet.mynah("doctor", check=False).stdout)

    (tmp_path / "memory").unlink()  # mended, it comes back by itself
    assert fleet.until_said("memory/1     │ up", 30)
