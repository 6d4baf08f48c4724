"""Starts the command line."""

from mynah.cli import main

if __name__ == "__main__":
    main()
