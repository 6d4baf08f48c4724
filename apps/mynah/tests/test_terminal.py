"""What others said is printed and commands nothing."""

import io
import json

import pytest
from rich.live import Live
from rich.text import Text

from mynah.terminal import Terminal

TITLE = "\x1b]0;PWNED\x07"


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def terminal(printed, monkeypatch) -> Terminal:
    monkeypatch.setenv("FORCE_COLOR", "1")
    return Terminal(file=printed)


@pytest.mark.parametrize("said", [TITLE, "\x1b[2J", "\x9b2J", "\x7f", "\u202ereversed", "\u2066"])
def test_what_was_said_is_shown_as_it_is_and_does_nothing(terminal, printed, said):
    terminal.print(Text(f"he said {said}!", "red"))

    shown = printed.getvalue()
    assert shown.startswith("\x1b[31mhe said ")  # the colour is ours
    assert said not in shown
    assert f"\\u{ord(said[0]):04x}" in shown


def test_ordinary_text_of_every_language_is_left_alone(terminal, printed):
    said = "Grüße, 你好\u00a0— \U0001f469\u200d\U0001f680\nदुनिया"

    terminal.print(Text(said))

    assert printed.getvalue() == f"{said}\n"


def test_json_stays_json(terminal, printed):
    terminal.out(json.dumps({"reply": TITLE + "\x9b"}, ensure_ascii=False))

    assert "\x9b" not in printed.getvalue()
    assert json.loads(printed.getvalue()) == {"reply": TITLE + "\x9b"}


def test_what_grows_in_place_may_move_the_cursor_and_its_text_may_not(printed, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Live(Text("first"), console=Terminal(file=printed), auto_refresh=False) as live:
        live.update(Text("second \x1b[1A"), refresh=True)

    assert "\x1b[2K" in printed.getvalue()
    assert "\\u001b[1A" in printed.getvalue()
