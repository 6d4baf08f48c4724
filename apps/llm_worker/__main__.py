"""Runs the worker."""

from llm_worker.worker import build
from mynah_bus import run

if __name__ == "__main__":
    run(build)
