"""The list of requirements that no test names."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("requirements_coverage.py")
ROWS = """
| ID | seed | capability | how to verify |
|---|---|---|---|
| SHD-02 | S1 | Signals are handled. | a test |
| NONE-99 | S1 | Nobody tests this. | a test |

| # | flaw |
|---|---|
| X-01 | no requirement |
"""


def test_a_row_that_no_test_names_is_listed(tmp_path):
    path = tmp_path / "requirements.md"
    path.write_text(ROWS)

    done = subprocess.run([sys.executable, str(SCRIPT), str(path)], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stdout == "NONE-99  Nobody tests this.\n1 of 2 rows are named by a test.\n"
