"""Starts the command line."""

import sys


def main() -> None:
    """Load and run it; Ctrl-C ends it quietly, also while it is still being loaded."""
    try:
        from mynah.cli import main as run  # noqa: PLC0415  # takes half a second, in which somebody may change their mind

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
