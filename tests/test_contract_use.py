"""What is declared is really done: every message is handled and sent by whom its contract names."""

import ast
import importlib
from functools import cache
from pathlib import Path

import pytest

from mynah.fleet import MODULES
from mynah_bus import Worker
from mynah_contracts import CATALOGUE, Contract, Failed, Health, Role

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = {Role.SKILL, Role.GUEST}
"""Roles of the user's own programs, which are not in this repository."""
BUS = {Health, Failed}
"""What the bus itself says and hears for every worker."""

DECLARED = [kind for kind in CATALOGUE.values() if kind.contract.topic is not None and kind not in BUS]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("MYNAH_HOME", str(tmp_path))


def worker(role: Role) -> Worker:
    build = importlib.import_module(f"{MODULES[role]}.worker").build
    return build()


@cache
def names_in(role: Role) -> set[str]:
    """Every class that the code of a role's process calls or names."""
    found: set[str] = set()
    for path in (ROOT / "apps" / MODULES[role]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name):
                found.add(node.id)
    return found


def contract_id(kind) -> str:
    return kind.contract.name


@pytest.mark.parametrize("kind", DECLARED, ids=contract_id)
def test_whoever_a_message_is_for_handles_it_or_waits_for_it(kind):
    contract: Contract = kind.contract
    replies = {other.contract.reply for other in CATALOGUE.values()} | {
        other.contract.parts for other in CATALOGUE.values()
    }
    for role in {*contract.to, *contract.overheard_by} - OUTSIDE:
        handled = {handler.hears for handler in worker(role).handlers}
        assert kind in handled or (kind in replies and kind.__name__ in names_in(role)), (
            f"{role} ignores {contract.name}"
        )


@pytest.mark.parametrize("kind", DECLARED, ids=contract_id)
def test_whoever_may_send_a_message_does_so(kind):
    for role in set(kind.contract.by) - OUTSIDE:
        assert kind.__name__ in names_in(role), f"{role} never sends {kind.contract.name}"


@pytest.mark.parametrize("role", MODULES, ids=str)
def test_a_worker_handles_and_says_only_what_is_for_it(role):
    built = worker(role)

    assert built.bus.role is role
    assert built.handlers
