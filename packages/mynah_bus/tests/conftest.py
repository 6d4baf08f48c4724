import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop
from blockbuster import blockbuster_ctx

from mynah_bus import BusSettings
from mynah_bus.memory_link import InMemoryBroker
from mynah_bus.mosquitto import Mosquitto, program
from mynah_bus.testing import VirtualLoop
from mynah_bus.tests.processes import free_port


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of a worker, or virtual time where `pytest.mark.asyncio(loop_factories=["virtual"])` asks for it."""
    asked = item.get_closest_marker("asyncio")
    if asked is not None and asked.kwargs.get("loop_factories"):
        return {"virtual": VirtualLoop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def loop_stays_awake() -> Iterator[None]:
    """A blocking call on an event loop is an error."""
    with blockbuster_ctx() as guard:
        guard.functions["os.stat"].deactivate()  # settings look for their files, once
        guard.functions["io.TextIOWrapper.read"].can_block_in("importlib/metadata/__init__.py", {"read_text"})
        yield


@pytest.fixture
def broker() -> InMemoryBroker:
    return InMemoryBroker()


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is set on the machine that runs the tests does not reach them."""
    for name in [name for name in os.environ if name.startswith("MYNAH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
async def mosquitto(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    """A real broker with users and rights, on a port of its own."""
    if program() is None:
        pytest.skip("mosquitto is not installed")
    async with Mosquitto(tmp_path / "home", port=free_port()) as started:
        yield started


@pytest.fixture
def settings(mosquitto: Mosquitto, tmp_path: Path) -> Callable[..., BusSettings]:
    """Settings of a process that joins the real broker."""

    def make(instance: str = "", **more: object) -> BusSettings:
        return BusSettings(broker_url=mosquitto.url, home=tmp_path / "home", instance=instance, **more)

    return make
