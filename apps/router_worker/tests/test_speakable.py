"""What is read aloud."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router_worker.speakable import CODE_LEFT_OUT, Reader, speakable

MARKED_UP = st.lists(
    st.one_of(
        st.sampled_from(
            [
                *(
                    "**",
                    "*",
                    "_",
                    "__",
                    "`",
                    "```",
                    "~~~",
                    "~~",
                    "# ",
                    "## ",
                    "#",
                    "#1",
                    "> ",
                    "- ",
                    "+ ",
                    "* ",
                    "1. ",
                    "\n",
                    "\n\n",
                ),
                *(
                    "[",
                    "]",
                    "(",
                    ")",
                    "](",
                    "![",
                    "[^1]",
                    "|",
                    "|---|",
                    "---",
                    "<br>",
                    "</b>",
                    "<b",
                    "&amp;",
                    "&lt;b&gt;",
                    "&#35;",
                    "\\",
                ),
                *(
                    "https://example.com/a?b=c",
                    "www.example.org",
                    "ftp://",
                    "😀",
                    "👩‍👩‍👧",
                    "1️⃣",
                    "→",
                    "->",
                    "⌚",
                    "✓",
                    ":smile:",
                    "\u200b",
                    "\ud800",
                    "\x00",
                ),
                *(
                    " ",
                    "word",
                    "Word",
                    "3.14",
                    "5:30",
                    "20 °C",
                    "C#",
                    ".",
                    ",",
                    "!",
                    "?",
                    ":",
                    "é",
                    "\u6211",
                    "2*3",
                    "2**8",
                ),
            ]
        ),
        st.text(st.characters(), max_size=4),
    ),
    max_size=25,
).map("".join)
PLAIN = st.lists(st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), min_size=1, max_size=12).map(
    lambda words: " ".join(words) + "."
)
EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff\u200d\ufe0f]")


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It is **very** *nice* and __good__.", "It is very nice and good."),
        ("# Weather\nIt rains.", "Weather. It rains."),
        ("Use `ls -l` for that.", "Use ls -l for that."),
        ("See [the docs](https://example.com/x) now.", "See the docs now."),
        ("See https://www.example.com/a/b?c=1.", "See example.com."),
        ("![a cat](cat.png) sits here.", "a cat sits here."),
        ("You need:\n- milk\n- eggs\n* bread", "You need: milk. eggs. bread"),
        ("1. Mix it\n2. Bake it", "1. Mix it. 2. Bake it"),
        ("- [x] done\n- [ ] open", "done. open"),
        ("Great 😀👍🏽! Well done 🎉", "Great! Well done"),
        ("| Name | Age |\n|---|---:|\n| Bo | 5 |", "Name, Age. Bo, 5"),
        ("> He said it.", "He said it."),
        ("It is 20 °C, 3.14 m, 5:30 and $5 or 50%.", "It is 20 °C, 3.14 m, 5:30 and $5 or 50%."),
        ("It fell to -5 degrees.", "It fell to -5 degrees."),
        ("2 * 3 is 6 and 2**8 is 256.", "2 times 3 is 6 and 2 to the power of 8 is 256."),
        ("C# is #1.", "C sharp is number 1."),
        ("snake_case & co", "snake case & co"),
        ("Tom &amp; Jerry<br>again", "Tom & Jerry again"),
        ("One\n\n---\n\nTwo", "One. Two"),
        ("A → B -> C", "A to B to C"),
        ("Nice :thumbs_up: and a ratio of 3:4:5", "Nice and a ratio of 3:4:5"),
        ("Fact[^1] and [text][2].", "Fact and text."),
        ("**- x**", "x"),
        ("😀", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_markup_is_for_the_eye(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


def test_code_is_left_out_and_said_so_once() -> None:
    text = "Try this:\n```python\nx = 1\n```\nOr this:\n```\ny = 2\n```\nDone."
    assert speakable(text) == f"Try this: {CODE_LEFT_OUT} Or this: Done."


def test_code_that_comes_in_several_parts_is_left_out() -> None:
    reader = Reader()
    parts = ["Try this:", "```python", "import os; os.remove('x')", "print('**hi**')", "```", "That is it."]
    assert [reader.read(part) for part in parts] == ["Try this:", CODE_LEFT_OUT, "", "", "", "That is it."]


@given(MARKED_UP)
def test_speaking_it_twice_changes_nothing(text: str) -> None:
    spoken = speakable(text)
    assert speakable(spoken) == spoken


@given(MARKED_UP)
def test_no_markup_is_left(text: str) -> None:
    spoken = speakable(text)
    assert not re.search(r"[`*|\\\[\]]|__|~~|https?://\S|^#|</?b>|\n", spoken)
    assert not EMOJI.search(spoken)
    spoken.encode()


@given(PLAIN)
def test_plain_sentences_stay_as_they_are(text: str) -> None:
    assert speakable(text) == text


@given(st.text("a1 .,'", max_size=7) | st.just("www.a a"))
def test_it_makes_no_difference_whether_there_is_anything_to_be_left_out(text: str) -> None:
    assert speakable(f"{text}\u200b") == speakable(text)


def test_a_long_hostile_text_is_read_in_bounded_time() -> None:
    for piece in ("[", "](", "<b ", "|", "**", "&amp;", "> ", "- ", "http://", "_", ":a", " *", "#"):
        assert speakable(piece * 2000).count("\n") == 0
