"""What the router's tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from router_worker.intents import Device, Home, Recogniser
from router_worker.store import Store


@pytest.fixture(scope="session")
def recogniser() -> Recogniser:
    """Understands the usual home, and the few names of the recordings that are not usual."""
    return Recogniser(Home(devices=(*Home().devices, Device("EcoBee", "climate"))))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A database of its own."""
    with Store(tmp_path / "router.db") as store:
        yield store
