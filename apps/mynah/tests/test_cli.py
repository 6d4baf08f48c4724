import asyncio
import fcntl
import io
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mynah.cli import _counts, main
from mynah.errors import CommandFailed
from mynah.fleet import MODULES
from mynah.watch import status_table
from mynah_audio.wav import encode
from mynah_bus import Bus, BusSettings
from mynah_bus.background import background
from mynah_bus.tests.processes import free_port
from mynah_contracts import CATALOGUE, PlaybackControl, Role

Mynah = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = ("up", "run", "ask", "turn", "transcribe", "say", "listen", "status", "doctor", "contracts", "broker")
NO_BROKER = "mynah: No broker answers at 127.0.0.1:9; `mynah up` starts one.\n"
NOTHING = "mqtt://127.0.0.1:9"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MYNAH_")}
    return {**kept, "MYNAH_HOME": str(home), "MYNAH_BROKER_URL": NOTHING, "COLUMNS": "200", **more}


@pytest.fixture
def mynah(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mynah:
    """Runs the command line, in this process and in a home of its own."""

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        root = logging.getLogger()
        handlers, level = root.handlers[:], root.level
        with monkeypatch.context() as patched:
            patched.chdir(tmp_path)
            patched.setattr(sys, "argv", ["mynah", *words])
            patched.setattr(os, "environ", environment(tmp_path / "home", **more))
            try:
                main()
            except SystemExit as end:
                code = int(end.code or 0)
            else:
                code = 0
            finally:
                root.handlers[:] = handlers
                root.setLevel(level)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, printed.out, printed.err)

    return run


def assert_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed with one sentence that has these words."""
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("mynah: ")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize("command", [(), *((command,) for command in COMMANDS), ("broker", "args"), ("broker", "run")])
def test_every_command_explains_itself(mynah, command):
    done = mynah(*command, "--help")

    assert done.returncode == 0
    assert "Usage: " in done.stdout


@pytest.mark.parametrize(
    "words", [("ask", "hello"), ("say", "hello", "-o", "x.wav"), ("say", "hello"), ("status",), ("listen",)]
)
def test_without_a_broker_it_says_so(mynah, words):
    done = mynah(*words)

    assert (done.returncode, done.stderr) == (1, NO_BROKER)


def test_a_broker_with_tls_is_nothing_that_the_fleet_starts(mynah):
    address = {"MYNAH_BROKER_URL": "mqtts://127.0.0.1:9"}

    assert_sentence(mynah("up", **address), "127.0.0.1:9", "without TLS", "mqtt://127.0.0.1:9")
    asked = mynah("ask", "hello", **address)
    assert_sentence(asked, "No broker answers at 127.0.0.1:9")
    assert "mynah up" not in asked.stderr


def test_what_cannot_be_scaled_is_one_sentence(mynah):
    assert_sentence(mynah("up", "--scale", "stt=²"), "stt, llm, tts", "'stt=²'")


@pytest.mark.parametrize("scale", ["stt", "stt=", "stt=-1", "stt=two", "stt=²", "stt=1000", "cook=2", "router=2", "=2"])
def test_only_what_can_be_more_than_one_is_scaled(scale):
    with pytest.raises(CommandFailed, match="stt, llm, tts"):
        _counts([scale])


def test_the_others_stay_as_they_are():
    assert _counts(["stt=2", "tts=0"]) == {**dict.fromkeys(MODULES, 1), Role.STT: 2, Role.TTS: 0}


def test_a_guest_is_no_worker(mynah):
    assert_sentence(mynah("run", "guest"), "guest is no worker")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MYNAH_LOG_LEVEL": "LOUD"}, ("MYNAH_LOG_LEVEL", "'DEBUG'")),
        ({"MYNAH_BROKER_URL": "http://[broken"}, ("broker's address",)),
        ({"MYNAH_BASE": "a b"}, ("MYNAH_BASE",)),
    ],
)
def test_a_setting_that_is_wrong_is_named(mynah, settings, words):
    assert_sentence(mynah("status", **settings), *words)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mynah.toml", b"this = = that", ("mynah.toml is not valid", "line 1")),
        ("mynah.toml", b"\xff\xfe", ("not text in UTF-8",)),
        (".env", b"MYNAH_BASE=\xff", ("not text in UTF-8",)),
        ("home/credentials.json", b"{broken", ("credentials.json is damaged", "move it away")),
    ],
)
def test_a_file_that_is_damaged_is_named(mynah, tmp_path, name, content, words):
    (tmp_path / "home").mkdir()
    (tmp_path / name).write_bytes(content)

    assert_sentence(mynah("status"), *words)


def test_a_question_without_words_is_refused(mynah, home_broker):
    assert_sentence(mynah("ask", "", **home_broker), "text", "at least 1 character")


@pytest.mark.parametrize("command", ["transcribe", "turn"])
@pytest.mark.parametrize("name", ["none.wav", "[red]none[/].wav", "[/]"])
def test_a_file_that_is_not_there_is_named(mynah, home_broker, command, name):
    assert_sentence(mynah(command, name, **home_broker), name, "is not a file")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\0" * 101, b"nothing of sound" * 9])
def test_a_file_that_is_no_recording_is_named(mynah, tmp_path, content):
    (tmp_path / "broken.wav").write_bytes(content)

    assert_sentence(mynah("transcribe", "broken.wav"), "broken.wav: ")


def test_an_answer_that_cannot_be_written_is_named(mynah, home_broker, tmp_path):
    (tmp_path / "q.wav").write_bytes(encode(np.zeros(1_600, np.int16)))

    done = mynah("turn", "q.wav", "-o", "nowhere/a.wav", **home_broker)

    assert_sentence(done, "nowhere/a.wav cannot be written")
    assert "q.wav" not in done.stderr


def test_an_answer_replaces_neither_its_question_nor_anything_when_there_is_none(mynah, home_broker, tmp_path):
    question, other = encode(np.zeros(1_600, np.int16)), b"what was there before"
    (tmp_path / "q.wav").write_bytes(question)
    (tmp_path / "other.wav").write_bytes(other)
    (tmp_path / "link.wav").symlink_to(tmp_path / "q.wav")

    assert_sentence(mynah("turn", "q.wav", "-o", "link.wav", **home_broker), "q.wav", "name another file")
    assert mynah("turn", "other.wav", "-o", "other2.wav", **home_broker).returncode == 1
    assert mynah("turn", "none.wav", "-o", "other.wav", **home_broker).returncode == 1
    assert (tmp_path / "q.wav").read_bytes() == question
    assert (tmp_path / "other.wav").read_bytes() == other
    assert not (tmp_path / "other2.wav").exists()


def test_a_satellite_that_cannot_be_is_refused(mynah, home_broker):
    assert_sentence(mynah("say", "hello", "--satellite", "Living Room", **home_broker), "satellite")


def test_the_messages_are_listed(mynah):
    rows = json.loads(mynah("contracts", "--json").stdout)["messages"]

    assert {row["topic"] for row in rows} == {kind.contract.topic for kind in CATALOGUE.values()} - {None}
    assert all(row["by"] and row["to"] and row["kind"] for row in rows)
    assert "tts/say" in mynah("contracts").stdout


def test_without_passwords_there_are_no_options_for_a_broker(mynah):
    assert_sentence(mynah("broker", "args"), "no passwords", "mynah up")


def test_the_options_for_a_broker_survive_a_shell(mynah, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    secret = 'it\'s $HOME & "more" \\ [red]'
    (home / "credentials.json").write_text(json.dumps({"guest": secret, "stt": "x"}))

    done = mynah("broker", "args", MYNAH_BROKER_URL="mqtt://[::1]:1234")

    assert shlex.split(done.stdout) == ["-h", "::1", "-p", "1234", "-u", "guest", "-P", secret]
    assert shlex.split(mynah("broker", "args", "stt").stdout)[-3:] == ["stt", "-P", "x"]


def test_passwords_are_made_though_the_file_with_ours_is_not_there_yet(mynah, tmp_path):
    assert mynah("broker", "init", MYNAH_BROKER_PASSWORD_FILE=str(tmp_path / "none")).returncode == 0


def test_passwords_are_made_once_for_every_role_and_nobody_else_reads_them(mynah, tmp_path):
    assert mynah("broker", "init").returncode == 0
    path = tmp_path / "home" / "credentials.json"
    made = path.read_bytes()
    assert set(json.loads(made)) == {role.value for role in Role}
    assert path.stat().st_mode & 0o077 == 0

    mynah("broker", "init")

    assert path.read_bytes() == made


def test_a_fleet_is_started_once_in_a_home(mynah, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    with (home / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711")
        lock.flush()

        assert_sentence(mynah("up"), "already up", "4711")


def test_the_doctor_says_what_to_do_without_a_fleet(mynah):
    done = mynah("doctor")

    assert done.returncode == 1
    assert "✗ the broker: No broker answers at 127.0.0.1:9; `mynah up` starts one." in done.stdout


def test_the_doctor_speaks_json(mynah):
    findings = json.loads(mynah("doctor", "--json").stdout)["findings"]

    assert all(set(finding) == {"ok", "what", "remedy"} for finding in findings)
    assert [finding["ok"] for finding in findings if finding["what"] == "the broker"] == [False]


# -- with a broker


@pytest.fixture(scope="module")
def home_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A broker without a fleet: the settings that lead to it."""
    home = tmp_path_factory.mktemp("broker")
    port = str(free_port())
    settings = {"MYNAH_HOME": str(home), "MYNAH_BROKER_URL": f"mqtt://127.0.0.1:{port}"}
    command = [sys.executable, "-m", "mynah", "broker", "run", "--port", port]
    with subprocess.Popen(
        command, env=environment(home, **settings), stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert "listens" in process.stdout.readline()
        yield settings
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0


@pytest.mark.broker
def test_the_fleet_is_shown(mynah, home_broker, tmp_path):
    command = [sys.executable, "-m", "mynah", "run", "llm"]
    settings = environment(tmp_path, **home_broker, MYNAH_INSTANCE="one")
    with subprocess.Popen(command, env=settings, cwd=tmp_path, stdin=subprocess.DEVNULL) as worker:
        try:
            asyncio.run(until_up(home_broker))
            (listed,) = json.loads(mynah("status", "--json", **home_broker).stdout)["workers"]
            assert (listed["name"], listed["instance"], listed["engine"]) == ("llm", "one", "rules")
            assert listed["pid"] == worker.pid
            assert {"reason", "host", "model", "version", "up_s", "in_flight", "queued", "counters"} <= set(listed)
            assert "llm/one" in mynah("status", **home_broker).stdout
            assert "No tts worker is up: mynah run tts" in mynah("doctor", **home_broker).stdout
        finally:
            worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0
    (gone,) = json.loads(mynah("status", "--json", **home_broker).stdout)["workers"]
    assert gone["status"] == "down"


@pytest.mark.broker
@pytest.mark.timeout(60)
def test_a_fleet_does_not_join_a_broker_where_somebody_has_the_name_of_one_of_its_workers(mynah, home_broker, tmp_path):
    command = [sys.executable, "-m", "mynah", "run", "llm"]
    settings = environment(tmp_path, **home_broker, MYNAH_INSTANCE="1")
    with subprocess.Popen(command, env=settings, cwd=tmp_path, stdin=subprocess.DEVNULL) as worker:
        try:
            asyncio.run(until_up(home_broker))
            done = mynah("up", **home_broker)
        finally:
            worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0

    assert done.returncode == 1
    assert done.stderr == (
        f"mynah: llm/1 is up at this broker already (process {worker.pid} on {socket.gethostname()}): "
        "stop its fleet first, or set MYNAH_BROKER_URL to another broker.\n"
    )


def settings_of(home_broker: dict[str, str]) -> BusSettings:
    return BusSettings(home=Path(home_broker["MYNAH_HOME"]), broker_url=home_broker["MYNAH_BROKER_URL"])


async def until_up(home_broker: dict[str, str]) -> None:
    """Wait for the one worker."""
    async with Bus(Role.GUEST, settings_of(home_broker)) as bus:
        await bus.until_up(Role.LLM, timeout=20)


@pytest.mark.broker
def test_a_question_that_nobody_can_answer_says_who_is_missing(mynah, home_broker):
    assert_sentence(mynah("ask", "hello", **home_broker), "No router worker is running.")
    assert_sentence(mynah("say", "hello", "-o", "x.wav", **home_broker), "No tts worker is running.")


@pytest.mark.broker
def test_a_spoken_question_without_a_router_says_so(mynah, home_broker, tmp_path):
    (tmp_path / "q.wav").write_bytes(encode(np.zeros(1_600, np.int16)))

    assert_sentence(mynah("turn", "q.wav", **home_broker), "the router is not running")


@pytest.mark.broker
@pytest.mark.parametrize("words", [("doctor",), ("ask", "hello"), ("turn", "q.wav"), ("up",)])
@pytest.mark.parametrize(("kept", "why"), [({"guest": "x", "satellite": "x"}, "not its own"), ({}, "no password")])
def test_a_password_that_is_not_the_brokers_is_explained(mynah, home_broker, tmp_path, words, kept, why):
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "credentials.json").write_text(json.dumps(kept))
    (tmp_path / "q.wav").write_bytes(encode(np.zeros(1_600, np.int16)))

    done = mynah(*words, **{**home_broker, "MYNAH_HOME": str(home)})

    assert done.returncode == 1
    (line,) = [line for line in (done.stdout + done.stderr).splitlines() if "does not let us in" in line]
    assert why in line
    assert "set MYNAH_HOME" in line


@pytest.mark.broker
def test_what_is_wrong_with_a_password_that_was_given_is_said_without_it(mynah, home_broker):
    url = home_broker["MYNAH_BROKER_URL"].replace("//", "//guest:secret@")

    done = mynah("ask", "hello", **{**home_broker, "MYNAH_BROKER_URL": url})

    assert_sentence(done, "look at the user and the password")
    assert "secret" not in done.stderr


@pytest.mark.broker
@pytest.mark.timeout(60)
async def test_who_listens_through_a_pipe_that_is_closed_ends_without_a_word(home_broker, tmp_path):
    listening = await asyncio.create_subprocess_shell(
        f"set -o pipefail; {shlex.quote(sys.executable)} -m mynah listen --raw | head -n 1",
        executable="/bin/bash",
        env=environment(tmp_path, **home_broker),
        cwd=tmp_path,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    async def talk(bus: Bus) -> None:
        async with bus.listening(PlaybackControl) as heard:
            bus.publish(PlaybackControl(action="pause"))
            async for _ in heard:
                bus.publish(PlaybackControl(action="pause"))

    async with Bus(Role.GUEST, settings_of(home_broker)) as bus, background() as tasks:
        await bus.ready(10)
        talking = tasks.create_task(talk(bus))
        printed, complaint = await listening.communicate()
        talking.cancel()

    assert (printed.startswith(b"mynah/"), printed.count(b"\n")) == (True, 1)
    assert (complaint, listening.returncode) == (b"", 128 + signal.SIGPIPE)


@pytest.mark.broker
def test_a_satellite_that_is_not_there_is_not_spoken_to(mynah, home_broker):
    assert_sentence(mynah("say", "hello", **home_broker), "No satellite is up", "mynah run satellite")


def test_a_fleet_without_workers_is_told_in_words():
    assert status_table([], 80) == "There is no worker; `mynah up` starts the fleet."


@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_fleet_is_readable_on_every_terminal(width):
    worker = {"name": "memory", "instance": "1", "status": "degraded", "reason": "The disk is full.", "pid": 4711}
    figures = {"engine": "bm25", "up_s": 7_300.0, "in_flight": 0, "queued": 3, "stall_max_ms": 12.0}
    console = Console(file=io.StringIO(), width=width)

    console.print(status_table([worker | figures], width))

    shown = console.file.getvalue()
    assert "memory/1" in shown
    assert "bm25" in shown
    assert "degraded" in shown
    assert "…" not in shown
    assert all(len(line) <= width for line in shown.splitlines())
    assert (width < 60) or ("4711" in shown and "2 h" in shown)


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_is_not_said(mynah, text):
    assert_sentence(mynah("say", text, "-o", "x.wav"), "nothing to say")


def test_sound_and_words_do_not_share_standard_output(mynah):
    assert_sentence(mynah("say", "hello", "-o", "-", "--json"), "-o -", "--json")


def test_what_listens_and_is_no_broker_is_not_joined(mynah):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]

        done = mynah("up", MYNAH_BROKER_URL=f"mqtt://127.0.0.1:{port}")

    assert done.returncode == 1
    assert f"127.0.0.1:{port} does not answer as a broker does; set MYNAH_BROKER_URL" in done.stderr
