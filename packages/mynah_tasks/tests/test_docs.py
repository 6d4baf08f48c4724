import ast
import inspect
import re
from pathlib import Path

import pytest

import mynah_tasks.facades
from mynah_tasks.presets import GATEWAY, JOBS, POOL, PROCESSOR, VOICE
from mynah_tasks.task_types import TaskType

PAGE = (Path(__file__).parents[3] / "docs" / "task-engine.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def table(heading):
    """The cells of the first table below a heading, without its head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


@pytest.mark.req("ENG-10", "ENG-12", "ENG-15", "STT-07", "JOB-01", "POOL-01")
async def test_the_examples_run_as_they_stand(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "examples"}
    for example in EXAMPLES:
        code = compile(example, "task-engine.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if (running := eval(code, namespace)) is not None:
            await running
    assert len(EXAMPLES) == 5
    assert all("assert" in example for example in EXAMPLES)


def test_the_page_names_every_task_type():
    assert {re.sub("`", "", row[0]) for row in table("Task types")} == set(TaskType)


def test_the_page_names_only_switches_and_files_that_exist():
    root = Path(__file__).parents[3]
    for command in (re.sub("`", "", row[1]) for row in table("How to see it")):
        for word in command.split():
            if word.endswith(".py"):
                (path,) = root.glob(word)
            elif word.startswith("MYNAH_"):
                switch = word.split("=")[0]
        assert "MYNAH_" not in command or f'"{switch}"' in path.read_text()


def test_the_page_gives_the_sizes_of_the_presets():
    sizes = [tuple(row[1:]) for row in table("Names you may know")]
    presets = [VOICE, PROCESSOR, GATEWAY, POOL, JOBS]
    assert sizes == [
        (str(preset.workers), str(preset.capacity), f"{preset.timeout:g}" if preset.timeout else "\u2013")
        for preset in presets
    ]


def test_the_page_names_only_facades_that_exist_and_all_of_them():
    named = set(re.findall(r"\b(?!redis)\w+\b", " ".join(row[0] for row in table("Names you may know"))))
    offered = {name for name in mynah_tasks.facades.__all__ if name[0].isupper() or name.startswith(("create", "get"))}
    helpers = {"Ears", "TaskManager", "VoiceCache", "VoiceTask", "WorkFailed"}
    assert named - {"redis_url"} == offered - helpers


@pytest.mark.req("CON-06")
def test_what_the_page_says_about_threads_exists():
    import mynah_resilience
    import mynah_tasks.engine
    import mynah_tasks.executors

    places = [mynah_resilience, mynah_tasks.facades, mynah_tasks.engine, mynah_tasks.executors]
    for name in re.findall(r"`(\w+)`", " ".join(row[0] for row in table("Threads"))):
        if name != "image_processing":
            assert any(inspect.isclass(getattr(place, name, None)) for place in places), name
