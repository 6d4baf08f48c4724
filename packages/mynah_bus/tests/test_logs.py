"""One conversation can be found in the logs of every worker that took part."""

import asyncio
import logging
from collections.abc import Iterator

import orjson
import pytest

from mynah_bus import conversation, handles, logs
from mynah_bus.context import Context, current, enter, new_id
from mynah_bus.testing import serving
from mynah_bus.tests.puppets import member
from mynah_contracts import Role, Said, Say, Transcribe, Transcript

log = logging.getLogger("a.worker")


@pytest.fixture
def logging_as_found() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)


@pytest.mark.req("MET-08")
@pytest.mark.usefixtures("logging_as_found")
def test_a_line_of_text_says_when_who_how_bad_what_and_of_which_turn(capsys):
    logs.set_up("INFO", "text")
    with conversation(turn="t1", session="s1"):
        log.info("It is %s", "done")
        log.debug("not at this level")
    log.warning("of no turn")
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(" - a.worker - INFO - It is done turn=t1 session=s1")
    assert second.endswith(" - a.worker - WARNING - of no turn")


FORGED = "2026-11-22 12:00:00,000 - router - INFO - forged"
UNPRINTABLE = ("\x1b]0;title\x07", "\x1b[2J", "\x9b2J", "\r", "\u2028", "\u202e", "\x00")


@pytest.mark.req("S05")
@pytest.mark.usefixtures("logging_as_found")
@pytest.mark.parametrize("foreign", [f"x\n{FORGED}", *UNPRINTABLE])
def test_nothing_that_others_wrote_ends_a_line_of_text_or_commands_the_terminal(capsys, foreign):
    logs.set_up("INFO", "text")
    with conversation(turn=foreign):
        log.info("They said %s", foreign)
    log.warning("It went wrong", exc_info=ValueError(foreign))
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if " - a.worker - " in line] == [lines[0], lines[1]]
    assert FORGED not in lines


def test_what_is_printable_stays_as_it_is():
    assert logs.printable("Grüße, 你好 │ 20 °C 😀") == "Grüße, 你好 │ 20 °C 😀"
    assert logs.printable("a\n\x1b\u2028") == r"a\n\x1b\u2028"


@pytest.mark.usefixtures("logging_as_found")
def test_a_line_of_json_says_the_same_to_machines(capsys):
    logs.set_up("DEBUG", "json")
    with conversation(turn="t1"):
        log.debug("It is %s", "done")
    try:
        int("broken")
    except ValueError:
        log.exception("It went wrong")
    first, second = (orjson.loads(line) for line in capsys.readouterr().err.splitlines())
    assert {name: first[name] for name in ("level", "logger", "message", "turn")} == {
        "level": "DEBUG", "logger": "a.worker", "message": "It is done", "turn": "t1",
    }  # fmt: skip
    assert "session" not in first
    assert second["exception"].endswith("invalid literal for int() with base 10: 'broken'")


class Ears:
    @handles
    async def transcribe(self, recording: Transcribe) -> Transcript:
        logging.getLogger("ears").info("understood")
        return Transcript(text="hello")


class Mind:
    @handles
    async def think(self, heard: Transcript) -> Say:
        logging.getLogger("mind").info("thought")
        return Say(text=heard.text)


class Voice:
    @handles
    async def speak(self, sentence: Say) -> Said:
        logging.getLogger("voice").info("spoke")
        return Said()


@pytest.mark.req("MQ-15")
async def test_the_correlation_id_of_one_request_is_in_the_logs_of_three_workers(caplog):
    caplog.handler.addFilter(logs.ConversationFilter())
    caplog.set_level(logging.INFO)
    workers = [
        member("ears", Ears(), role=Role.STT),
        member("mind", Mind(), role=Role.ROUTER),
        member("voice", Voice(), role=Role.TTS),
    ]
    async with serving(*workers) as stage:
        with conversation(turn="t7"):
            await stage.ask(Transcribe(audio=b""), role=Role.SATELLITE)
            await stage.next(Said)
    ids = {record.name: record.__dict__["ids"] for record in caplog.records if record.name in {"ears", "mind", "voice"}}
    assert set(ids) == {"ears", "mind", "voice"}
    assert {each["turn"] for each in ids.values()} == {"t7"}
    (correlation_id,) = {each["correlation_id"] for each in ids.values()}
    assert correlation_id


def test_a_conversation_inherits_what_it_does_not_say_and_ends_with_its_block():
    with conversation(turn="t1", session="s1", priority=2):
        with conversation(turn="t2"):
            assert (current().turn, current().session, current().priority) == ("t2", "s1", 2)
        assert current().turn == "t1"
    assert current() == Context()


async def test_a_task_may_enter_a_conversation_of_its_own():
    async def handle(turn: str) -> str | None:
        enter(Context(turn=turn))
        await asyncio.sleep(0)
        return current().turn

    assert await asyncio.gather(*(asyncio.create_task(handle(turn)) for turn in "abc")) == ["a", "b", "c"]
    assert current().turn is None


def test_no_identifier_is_made_twice():
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.req("S05")
def test_no_identifier_tells_the_next():
    made = [bytes.fromhex(new_id()) for _ in range(10_000)]
    for place in range(12):
        values = {identifier[place] for identifier in made}
        assert len(values) == 256  # each of its bytes takes every value; a prefix or a counter would not
