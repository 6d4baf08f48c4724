"""The documents do what they say."""

import re
from pathlib import Path

import pytest

from mynah_bus.testing import serving
from mynah_contracts import Health, Role, Say

ROOT = Path(__file__).resolve().parents[1]


def blocks(document: str) -> list[str]:
    """The Python programs in a document."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / document).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.req("TST-08")
async def test_the_worker_of_the_guide_is_short_and_works():
    (program,) = blocks("write-a-worker.md")
    assert len([line for line in program.splitlines() if line.strip()]) <= 30
    module: dict = {"__name__": "watchman"}
    exec(compile(program, "watchman.py", "exec"), module)  # our own document

    async with serving(module["build"]()) as stage:
        for status in ("up", "down"):
            await stage.send(Health(service=Role.STT, instance="1", status=status), role=Role.STT)
        assert (await stage.next(Say)).text == "The stt worker is gone."


@pytest.mark.req("MQ-01")
def test_the_top_level_is_what_the_plan_says():
    for name in ("apps", "packages", "docker-compose.yml", "mosquitto", "pytest.ini", "Makefile", "README.md"):
        assert (ROOT / name).exists(), name


def test_the_readme_is_short_and_its_make_targets_exist():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    assert len(readme.splitlines()) < 120
    for target in re.findall(r"make ([a-z-]+)", readme):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_links_of_the_documents_lead_somewhere():
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
