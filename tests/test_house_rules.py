"""Rules of the whole house that no linter knows."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BEGINNINGS = {"apps/mynah/cli.py", "packages/mynah_bus/run.py", "packages/mynah_tasks/executors/child.py"}
"""Where a process begins, and its one event loop with it."""
LOOPS = {"run", "Runner", "new_event_loop", "run_until_complete", "run_forever"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for place in ("apps", "packages"):
        for path in sorted((ROOT / place).rglob("*.py")):
            if "tests" not in path.parts:
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def loops(tree: ast.AST) -> list[int]:
    """The lines that start an event loop."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LOOPS
        and (node.func.attr not in {"run", "Runner"} or ast.unparse(node.func.value) == "asyncio")
    ]


@pytest.mark.req("CON-01")
def test_a_loop_is_started_where_a_process_begins_and_never_within_another():
    started = {name: tree for name, tree in modules() if loops(tree)}

    assert started.keys() == BEGINNINGS
    nested = {
        f"{name}:{line}"
        for name, tree in started.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.AsyncFunctionDef)
        for line in loops(node)
    }
    assert nested == set()


@pytest.mark.req("CON-03", "TST-01")
def test_a_coroutine_that_nobody_awaits_fails_its_test_and_equal_names_do_not_clash(tmp_path):
    body = {"right": "    await work()\n", "wrong": "    work()\n    import gc\n    gc.collect()\n"}
    for folder, line in body.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "test_same.py").write_text(
            f"async def work():\n    pass\n\n\nasync def test_{folder}():\n{line}"
        )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pytest.ini")]

    done = subprocess.run([*command, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "1 failed, 1 passed" in done.stdout
    assert "coroutine 'work' was never awaited" in done.stdout
