"""Work that blocks leaves the event loop free, and ends the process when it never ends."""

import asyncio
import subprocess
import sys
import threading
from contextlib import AsyncExitStack

import pytest

from mynah_bus import ModelThread, conversation, current, duck_typed, handles, in_thread
from mynah_bus.offload import EXIT_HUNG, Watchdog
from mynah_bus.testing import serving
from mynah_bus.tests.puppets import found, member
from mynah_contracts import CharacterGet, CharacterResult, MemoryQuery, MemoryResults, Role
from mynah_resilience import StallProbe


class Recogniser:
    """Knows in which thread it was called."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def transcribe(self, audio: bytes) -> str:
        self.threads.append(threading.current_thread().name)
        return f"{len(audio)} bytes"


class AsyncRecogniser:
    def __init__(self) -> None:
        self.threads: list[str] = []

    async def transcribe_async(self, audio: bytes) -> str:
        self.threads.append(threading.current_thread().name)
        return f"{len(audio)} bytes"


class Both(Recogniser):
    async def transcribe_async(self, audio: bytes) -> str:
        self.threads.append(threading.current_thread().name)
        return f"{len(audio)} bytes"


@pytest.mark.req("MQ-13", "MQ-14")
@pytest.mark.parametrize(("part", "hops"), [(Recogniser(), 1), (AsyncRecogniser(), 0), (Both(), 0)])
async def test_duck_typed_awaits_what_is_async_and_runs_the_rest_in_one_thread(part, hops):
    assert await duck_typed(part, "transcribe", b"123") == "3 bytes"
    (thread,) = part.threads
    assert int(thread != threading.main_thread().name) == hops


@pytest.mark.req("MQ-14")
def test_an_async_method_leaves_the_sync_one_usable():
    assert Both().transcribe(b"12") == "2 bytes"


async def test_the_conversation_goes_along_into_a_thread():
    with conversation(turn="t1"):
        assert await in_thread(lambda: current().turn) == "t1"
        async with ModelThread("model") as model:
            assert await model(lambda: current().turn) == "t1"


async def test_calls_of_a_model_never_overlap():
    at_work, most, threads = 0, 0, set()

    def infer(number: int) -> int:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        threads.add(threading.current_thread().name)
        threading.Event().wait(0.001)
        at_work -= 1
        return number

    async with ModelThread("model") as model:
        assert await asyncio.gather(*(model(infer, n) for n in range(30))) == list(range(30))
    assert most == 1
    assert len(threads) == 1


async def test_what_a_model_raises_is_raised_to_its_caller():
    async with ModelThread("model") as model:
        with pytest.raises(ZeroDivisionError):
            await model(lambda: 1 / 0)
        assert await model(lambda: 1) == 1


async def test_leaving_a_model_thread_waits_for_the_call_at_work():
    began, may_end = threading.Event(), threading.Event()
    ended = []

    def infer() -> None:
        began.set()
        may_end.wait(10)
        ended.append(True)

    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(ModelThread("model"))
        call = asyncio.create_task(model(infer))
        await in_thread(began.wait)
        leaving = asyncio.create_task(stack.pop_all().aclose())
        may_end.set()
        await leaving
        await call
    assert ended == [True]


async def test_a_call_that_outlives_its_deadline_ends_the_process_with_a_code_of_its_own(capfd):
    codes: list[int] = []
    ended, may_end = threading.Event(), threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        ended.set()

    def hang() -> None:
        may_end.wait(10)

    watchdog = Watchdog(end)
    call = asyncio.create_task(in_thread(hang, deadline=0.02, watchdog=watchdog))
    assert await in_thread(ended.wait, 10)
    may_end.set()
    await call
    assert codes == [EXIT_HUNG]
    assert "hang has not come back within its deadline" in capfd.readouterr().err


async def test_calls_that_end_in_time_are_forgotten_by_the_watchdog(capfd):
    codes: list[int] = []
    late = threading.Event()

    def end(code: int) -> None:
        codes.append(code)
        late.set()

    watchdog = Watchdog(end)
    for _ in range(20):
        assert await in_thread(int, deadline=0.05, watchdog=watchdog) == 0
    # The deadlines above are over before the one of this call, which does outlive its own.
    assert await in_thread(late.wait, 10, deadline=0.1, watchdog=watchdog)
    assert codes == [EXIT_HUNG]
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("Event.wait has not come back")


HUNG = """
import asyncio, threading
from mynah_bus import in_thread

asyncio.run(in_thread(threading.Event().wait, 60, deadline=0.1))
"""


def test_a_process_with_a_hung_model_exits_with_70(pytestconfig: pytest.Config):
    ended = subprocess.run(
        [sys.executable, "-c", HUNG],
        env={"PYTHONPATH": str(pytestconfig.rootpath / "packages")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 70
    assert "the worker exits to be started again" in ended.stderr


class Heavy:
    """Blocks in a thread for as long as it is told to, and answers small questions meanwhile."""

    def __init__(self) -> None:
        self.began, self.may_end = threading.Event(), threading.Event()

    @handles
    def recall(self, query: MemoryQuery) -> MemoryResults:
        self.began.set()
        self.may_end.wait(20)
        return found(threading.current_thread().name)

    @handles(at_once=10)
    async def tell(self, question: CharacterGet) -> CharacterResult:
        return CharacterResult(name="Mynah")


@pytest.mark.req("MQ-12", "MET-09")
async def test_the_loop_stays_awake_and_answers_a_hundred_messages_while_a_handler_blocks():
    part = Heavy()
    worker = member("one", part)
    async with serving(worker) as stage, StallProbe() as probe:
        bus = await stage.bus(Role.SKILL)
        long = asyncio.create_task(bus.request(MemoryQuery(text="?"), timeout=20))
        assert await in_thread(part.began.wait, 10)
        stalls_ms = []
        for _ in range(5):  # a machine that is busy with other things holds up one round, not all
            probe.reset()
            for _ in range(20):
                assert (await bus.request(CharacterGet(), CharacterResult)).name == "Mynah"
            stalls_ms.append(probe.maximum_ms)
        assert not long.done()
        part.may_end.set()
        answer = await long
    assert answer.results[0].text != threading.main_thread().name
    assert min(stalls_ms) < 50
