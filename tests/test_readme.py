"""The README's commands, as they stand there."""

import json
import re
import subprocess
import sys
import wave
from pathlib import Path

import pytest

pytestmark = [pytest.mark.broker, pytest.mark.timeout(120)]

README = Path(__file__).resolve().parents[1] / "README.md"
ENDLESS = re.compile(r"(?=.*mosquitto_sub)(?!.*-C 1)")
"""What goes on until Ctrl-C."""


def commands(section: str) -> list[str]:
    """The indented commands of a section."""
    text = README.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^(?: {4}\S.*\n(?: {4}.*\n)*)", text.replace("\\\n", ""), re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines()]


@pytest.fixture(scope="module")
def place(fleet, tmp_path_factory) -> Path:
    """A folder that looks like the repository after `make setup`."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return folder


def run(fleet, place: Path, *lines: str) -> bytes:
    """What a shell prints for these lines, one after the other."""
    done = subprocess.run(
        ["bash", "-euc", "\n".join(lines)],
        cwd=place,
        env=fleet.environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return done.stdout


@pytest.fixture(scope="module")
def said_first(fleet, place) -> list[bytes]:
    """What the first commands print."""
    first = [line for line in commands("Start it") if line.startswith(".venv/bin/mynah") and "listen" not in line]
    return [run(fleet, place, line) for line in first]


@pytest.mark.req("TST-08")
def test_the_first_commands_answer(said_first, place):
    asked, spoken, turned = said_first

    assert asked.startswith(b"It is ")
    assert spoken.endswith(b"s of speech in question.wav\n")
    assert b"what time is it" in turned
    with wave.open(str(place / "answer.wav")) as answer:
        assert answer.getnframes() > 16_000


@pytest.mark.req("MQ-04", "TST-08")
@pytest.mark.usefixtures("said_first")
def test_the_commands_for_standard_tools_work_as_a_guest(fleet, place):
    arguments, follow, *rest = commands("Talk to it from a shell")
    assert ENDLESS.match(follow)
    arguments = run(fleet, place, arguments, 'printf "ARGS=%q" "$ARGS"').decode()  # what the first line has set

    followed = run(fleet, place, arguments, f"{follow.partition('#  ')[0].partition('   #')[0]} -C 3")
    printed = [run(fleet, place, arguments, line) for line in rest[:-2]]
    in_two = run(fleet, place, arguments, *rest[-2:])

    assert all(line.startswith(b"mynah/") for line in followed.splitlines())
    assert json.loads(printed[0])["data"]["reply"].startswith("It is ")
    with wave.open(str(place / "hello.wav")) as hello:
        assert 44 + 2 * hello.getnframes() == (place / "hello.wav").stat().st_size
    assert json.loads(printed[2])["type"] in {"stt.final", "system.error"}  # 2.0.11 sends an empty file
    assert printed[3:] == [b"", b""]
    assert json.loads(in_two)["data"]["text"] == "what time is it"
