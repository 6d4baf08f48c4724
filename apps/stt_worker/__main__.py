"""Runs the worker."""

from mynah_bus import run
from stt_worker.worker import build

if __name__ == "__main__":
    run(build)
