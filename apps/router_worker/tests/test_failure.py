"""How a failure is spoken about."""

import pytest

from router_worker.failure import error_sentence


@pytest.mark.parametrize(
    ("reason", "spoken"),
    [
        ("no llm worker is running", "no llm worker is running"),
        ("No answer.\n", "No answer"),
        ("", "something went wrong"),
        ("ValueError", "something went wrong"),
        ("TimeoutError: the model did not answer", "the model did not answer"),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1\nllm.errors.EngineError: out of memory',
            "out of memory",
        ),
        ("connection to **https://api.example.com/v1** refused", "connection to api.example.com refused"),
    ],
)
def test_a_failure_is_one_short_sentence(reason: str, spoken: str) -> None:
    assert error_sentence(reason) == f"I encountered an error: {spoken}."


def test_a_long_reason_is_cut_at_a_word() -> None:
    spoken = error_sentence("word " * 1000)
    assert len(spoken) < 160
    assert spoken.endswith("word.")
