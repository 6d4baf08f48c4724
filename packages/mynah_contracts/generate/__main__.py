"""Writes what follows from the catalogue, or says with `--check` what is out of date."""

import argparse
import sys
from pathlib import Path

from mynah_contracts.generate.documents import documents, stale, write

ROOT = Path(__file__).parents[3]


def main() -> int:
    """0 when all is up to date now, 1 when a check found what is not."""
    parser = argparse.ArgumentParser(prog="python -m mynah_contracts.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail when a file is out of date")
    parser.add_argument("--root", type=Path, default=ROOT, help="the repository")
    options = parser.parse_args()
    changed = (stale if options.check else write)(options.root, documents())
    word = "out of date" if options.check else "written"
    sys.stdout.writelines(f"{word}: {path}\n" for path in changed)
    return int(options.check and bool(changed))


if __name__ == "__main__":
    sys.exit(main())
