import asyncio
import subprocess
import sys

import pytest

from mynah_resilience import Stopwatch, loop_status
from mynah_resilience.testing import FakeClock

SLOW = """
import asyncio, logging, time
logging.basicConfig(format="%(name)s %(message)s")

async def main():
    time.sleep(0.15)

asyncio.run(main())
"""


@pytest.mark.req("MET-07")
async def test_the_running_loop_says_what_it_is_doing() -> None:
    status = loop_status()
    assert (status.is_running, status.is_closed, status.is_debugging) == (True, False, False)
    asyncio.get_running_loop().set_debug(True)
    assert loop_status().is_debugging


@pytest.mark.req("MET-07")
def test_a_loop_that_was_closed_says_so() -> None:
    loop = asyncio.new_event_loop()
    loop.close()
    status = loop_status(loop)
    assert (status.is_running, status.is_closed) == (False, True)


@pytest.mark.req("MET-07")
@pytest.mark.parametrize(("debug", "logged"), [("1", True), ("", False)])
def test_debugging_by_environment_logs_slow_callbacks(debug: str, logged: bool) -> None:  # noqa: FBT001
    run = subprocess.run(
        [sys.executable, "-c", SLOW], env={"PYTHONASYNCIODEBUG": debug}, capture_output=True, text=True, check=True
    )
    assert ("asyncio Executing <Task" in run.stderr) is logged


@pytest.mark.req("MET-07")
async def test_a_stopwatch_times_a_block_by_the_monotonic_clock(clock: FakeClock) -> None:
    with Stopwatch(clock) as watch:
        await clock.advance(1.5)
        assert watch.seconds == 1.5
        await clock.advance(1)
    await clock.advance(10)
    assert watch.seconds == 2.5
