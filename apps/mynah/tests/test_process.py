"""The command line as a shell sees it: signals, pipes, exit codes."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

MYNAH = (sys.executable, "-m", "mynah")
LOADING = "open({fifo!r}, 'w').close()\nimport threading\nthreading.Event().wait()\n"
"""A module that says that it is being loaded, and never has been."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MYNAH_")}
    return {**kept, "MYNAH_HOME": str(tmp_path), "MYNAH_BROKER_URL": "mqtt://127.0.0.1:9"}


def test_an_interrupt_while_it_is_being_loaded_ends_it_quietly(environment, tmp_path):
    fifo = tmp_path / "loading"
    os.mkfifo(fifo)
    (tmp_path / "typer.py").write_text(LOADING.format(fifo=str(fifo)))
    path = {**environment, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen([*MYNAH, "status"], env=path, stderr=subprocess.PIPE, text=True) as process:
        fifo.read_text()
        process.send_signal(signal.SIGINT)

        _, printed = process.communicate(timeout=20)

    assert (process.returncode, printed) == (130, "")


def test_who_stops_reading_gets_no_more_and_no_traceback(environment):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*MYNAH, "contracts"], env=environment, text=True, **pipes) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_disk_that_is_full_is_one_sentence(environment):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*MYNAH, "contracts"], env=environment, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert (done.returncode, done.stderr) == (1, "mynah: No space left on device.\n")


def test_a_terminal_that_knows_ascii_only_gets_the_words(environment):
    ascii_only = {**environment, "PYTHONIOENCODING": "ascii"}

    done = subprocess.run([*MYNAH, "contracts"], env=ascii_only, capture_output=True, text=True, check=True)

    assert "llm/request" in done.stdout
    assert done.stdout.isascii()


def test_sound_is_not_poured_into_a_terminal(environment):
    terminal, window = pty.openpty()
    try:
        done = subprocess.run(
            [*MYNAH, "say", "hello", "-o", "-"],
            env=environment,
            stdout=window,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(window)
        os.close(terminal)

    assert done.returncode == 1
    assert done.stderr == "mynah: Standard output is a terminal; send the sound on, such as to `| aplay`.\n"
