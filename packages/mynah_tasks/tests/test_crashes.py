"""Processes that are killed, tasks that kill them, and disks that fail: each in a process of its own."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent
SOURCES = PROGRAMS.parents[1]
KILLS = int(os.environ.get("MYNAH_KILLS", "10"))
"""For the record: 200."""


def run(program: str, *arguments: object, under: tuple[str, ...] = ()) -> Any:
    """What a program of this folder has to say."""
    command = [*under, sys.executable, str(PROGRAMS / program), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SOURCES)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.req("P1", "SHD-01", "SHD-03", "JOB-02")
@pytest.mark.timeout(60 + 2 * KILLS)
def test_every_accepted_task_has_one_outcome_however_often_its_process_is_killed() -> None:
    verdict = run("kill_run.py", "--kills", KILLS)
    assert verdict.pop("accepted") > 0
    assert verdict.pop("seen") > 0
    assert verdict == {
        "kills": KILLS,
        "lost": 0,
        "without_outcome": 0,
        "with_two_outcomes": 0,
        "seen_differently": 0,
        "integrity": "ok",
        "damaged_files": 0,
    }


@pytest.mark.parametrize("poison", [1, 3])
def test_a_task_that_kills_its_process_ends_after_its_attempts_and_harms_no_other(poison: int) -> None:
    verdict = run("poison_run.py", "--poison", poison, "--good", 50)
    assert verdict == {"deaths": 4 * poison, "ends": {"good completed": 50, "poison failed after 4": poison}}


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace to make the disk fail")
@pytest.mark.parametrize("failing", ["8", "9", "12..14", "20..26", "10+7"])
def test_what_was_accepted_on_a_failing_disk_is_there_and_what_was_refused_is_not(failing: str, tmp_path) -> None:
    path = tmp_path / "tasks.db"
    syncs = "fsync,fdatasync"
    strace = (
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        f"trace={syncs}",
        "-e",
        f"inject={syncs}:error=EIO:when={failing}",
    )
    verdict = run("disk_run.py", path, 30, under=strace)
    with closing(sqlite3.connect(path)) as db:
        found = dict(db.execute("SELECT id, ifnull(status, 'pending') FROM task LEFT JOIN state USING (seq)"))
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(verdict["accepted"]) + verdict["refused"] == 30
    assert sorted(found) == sorted(verdict["accepted"])
    assert Counter(found.values()) == {"completed": len(verdict["accepted"])}
