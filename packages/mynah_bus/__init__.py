"""What every worker stands on: handlers, requests and replies, health, the link to the broker."""

from mynah_bus.bus import Bus
from mynah_bus.context import Context, conversation, current, new_id
from mynah_bus.errors import (
    BadMessage,
    BusClosed,
    EngineFailed,
    MynahError,
    NoWorker,
    RequestFailed,
    RequestTimeout,
)
from mynah_bus.handlers import handles, produces
from mynah_bus.offload import ModelThread, duck_typed, in_thread
from mynah_bus.run import run
from mynah_bus.settings import BusSettings, MynahSettings
from mynah_bus.wire import Received
from mynah_bus.worker import Worker

__all__ = [
    "BadMessage",
    "Bus",
    "BusClosed",
    "BusSettings",
    "Context",
    "EngineFailed",
    "ModelThread",
    "MynahError",
    "MynahSettings",
    "NoWorker",
    "Received",
    "RequestFailed",
    "RequestTimeout",
    "Worker",
    "conversation",
    "current",
    "duck_typed",
    "handles",
    "in_thread",
    "new_id",
    "produces",
    "run",
]
