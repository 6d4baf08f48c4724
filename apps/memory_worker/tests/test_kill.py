"""A killed worker loses nothing that it had kept; MYNAH_KILLS says how often it is tried."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

import memory_worker
from memory_worker.documents import Question
from memory_worker.store import Store

KILLS = int(os.environ.get("MYNAH_KILLS", "20"))
SCRIPT = Path(__file__).with_name("ingest_until_killed.py")
APPS = str(Path(memory_worker.__file__).parents[1])


def kill_while_ingesting(path, first, lines):
    """Kill an ingesting process after some lines of output; the number of the last document it had kept."""
    command = [sys.executable, SCRIPT, path, str(first)]
    last = first - 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": APPS}) as process:
        for line in process.stdout:
            last = int(line) if line.strip().isdigit() else last
            lines -= 1
            if lines <= 0:
                process.kill()
    return last


@pytest.mark.req("F29")
@pytest.mark.timeout(KILLS * 10)
def test_the_file_always_opens_with_all_that_was_kept(tmp_path, count):
    chance = random.Random(29)
    path, first = tmp_path / "0.db", 0
    for attempt in range(KILLS):
        # Now and then a new file, killed while it is made.
        if attempt % 10 == 0:
            path, first = tmp_path / f"{attempt}.db", 0
        last = kill_while_ingesting(path, first, chance.choice([1, 2, 5, 30]))
        with Store(path) as store:
            assert store.recovery is None
            # One more may have been kept before it could be said.
            assert count(store) in (last + 1, last + 2)
            assert len(store.query(Question(f"tea {last}", top_k=50)).documents) == min(50, count(store))
            first = count(store)
