"""Which language engine a worker takes, and why."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from llm_worker.engines import LanguageModel
from llm_worker.engines.rules import Rules
from llm_worker.engines.scripted import Scripted

EngineName = Literal["auto", "rules", "scripted"]

WITHOUT_ENGINE = "I can't answer that: MYNAH_LLM_BASE_URL is set, but this version cannot use a language model yet."


class Choice(NamedTuple):
    """An engine, not yet opened, and the sentence to say at start-up."""

    name: str
    why: str
    make: Callable[[], LanguageModel]


def choose(engine: EngineName = "auto", base_url: str | None = None) -> Choice:
    """The engine that was asked for; `auto` takes the best one there is. `base_url` is where a model was promised."""
    if engine == "scripted":
        return Choice("scripted", "scripted answers: it was asked for. It always says the same.", Scripted)
    if base_url and engine == "auto":
        return Choice(
            "rules",
            "rules answers: MYNAH_LLM_BASE_URL is set, but this version cannot use a language model yet.",
            lambda: Rules(otherwise=WITHOUT_ENGINE),
        )
    reason = "it was asked for" if engine == "rules" else "MYNAH_LLM_BASE_URL names no language model"
    return Choice("rules", f"rules answers: {reason}. It does sums, units, memory and small talk.", Rules)
