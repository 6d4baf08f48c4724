"""Runs the satellite."""

from mynah_bus import run
from satellite.worker import build

if __name__ == "__main__":
    run(build)
