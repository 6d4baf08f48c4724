"""A child ends with its parent, and not before."""

import shutil
import subprocess
import sys

import pytest

BEAR = """
import asyncio, subprocess, sys, uvloop
from mynah_bus.child import die_with_parent

async def bear():
    child = await asyncio.create_subprocess_exec("echo", "alive", preexec_fn=die_with_parent)
    assert await child.wait() == 0

for loop in (uvloop, asyncio):
    asyncio.Runner(loop_factory=loop.new_event_loop).run(bear())
subprocess.run(["echo", "alive"], preexec_fn=die_with_parent, check=True)
"""
ORPHAN = """
import os, select, signal, subprocess
from mynah_bus.child import die_with_parent

def too_late():
    parent = os.getppid()
    end = os.pidfd_open(parent)
    os.kill(parent, signal.SIGKILL)
    select.select([end], [], [])
    die_with_parent()

subprocess.run(["echo", "alive"], preexec_fn=too_late)
"""


def said(*command: str) -> str:
    """What it and its children say until the last of them has ended."""
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=20, check=False, text=True).stdout


def test_a_child_of_the_first_process_of_a_container_lives():
    container = ["unshare", "--user", "--map-root-user", "--pid", "--fork"]
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    if subprocess.run([*container, "true"], check=False, capture_output=True).returncode:
        pytest.skip("a namespace of processes may not be made here")
    assert said(*container, sys.executable, "-c", BEAR).split() == ["alive"] * 3


def test_a_child_of_any_other_process_lives():
    assert said(sys.executable, "-c", BEAR).split() == ["alive"] * 3


@pytest.mark.skipif(sys.platform != "linux", reason="only its kernel tells of a parent's end")
def test_a_child_whose_parent_has_gone_before_it_could_be_told_of_it_ends():
    assert said(sys.executable, "-c", ORPHAN) == ""
