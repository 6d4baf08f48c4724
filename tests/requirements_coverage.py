"""Prints the rows of a requirements file that no test proves: `python tests/requirements_coverage.py REQUIREMENTS`.

A row begins with an ID in a table whose first column is called ID; a test proves it with `@pytest.mark.req(ID)`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PLACES = ("apps", "packages", "tests", "benchmarks")
ROW = re.compile(r"^\|\s*(?P<id>[A-Z]+-\d+)\s*\|(?P<cells>.*)$")


def required(document: str) -> dict[str, str]:
    """The rows of a requirements file: ID and what it asks for."""
    rows: dict[str, str] = {}
    is_table_of_rows = False
    for line in document.splitlines():
        if not line.startswith("|"):
            is_table_of_rows = False
        elif line.startswith("| ID |"):
            is_table_of_rows = True
        elif is_table_of_rows and (row := ROW.match(line)):
            rows[row["id"]] = row["cells"].split("|")[1].strip()
    return rows


def proved(root: Path) -> set[str]:
    """The IDs that tests below a folder name."""
    found: set[str] = set()
    for place in PLACES:
        for path in sorted((root / place).rglob("*.py")):
            if path.name.startswith(("test_", "conftest")):
                found.update(_named(ast.parse(path.read_text(encoding="utf-8"))))
    return found


def _named(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.req":
            for name in node.args:
                if isinstance(name, ast.Constant):
                    yield str(name.value)


def main(arguments: list[str]) -> int:
    """Print what is missing; 0 when nothing is."""
    if len(arguments) != 1:
        sys.stderr.write("Give the path of a requirements file.\n")
        return 2
    rows = required(Path(arguments[0]).read_text(encoding="utf-8"))
    names = proved(ROOT)
    missing = {identifier: text for identifier, text in rows.items() if identifier not in names}
    for identifier, text in missing.items():
        sys.stdout.write(f"{identifier:<8} {text[:110]}\n")
    sys.stdout.write(f"{len(rows) - len(missing)} of {len(rows)} rows are named by a test.\n")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
