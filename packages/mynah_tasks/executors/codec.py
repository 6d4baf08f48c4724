"""What crosses to a worker process and back: JSON, with arrays and bytes beside it. Nothing is ever unpickled."""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from mynah_tasks.executors.errors import NotPortable

PLAIN_KINDS = "biufc"
"""The kinds of numpy numbers that are bytes and nothing else."""


@dataclass(frozen=True, slots=True)
class Packed:
    """JSON in which each array or bytes object is a note where it lies among the `buffers`."""

    text: bytes
    notes: list[list[Any]] = field(default_factory=list)
    """For each buffer its size in bytes, and for an array its dtype and shape."""
    buffers: list[memoryview] = field(default_factory=list)


def pack(value: object, mark: str) -> Packed:
    """Make a value portable; `mark` is a word that no honest or dishonest value can contain as a key.

    Raises:
        NotPortable: the value holds something that is neither JSON nor a numpy array nor bytes.
    """
    notes: list[list[Any]] = []
    buffers: list[memoryview] = []

    def aside(item: object) -> object:
        numpy = sys.modules.get("numpy")  # where it was never imported there is no array
        if (fields := getattr(item, "model_dump", None)) is not None:
            return fields()
        if isinstance(item, bytes | bytearray | memoryview):
            view = memoryview(item).cast("B")
            notes.append([view.nbytes])
        elif numpy is not None and isinstance(item, numpy.generic):
            return item.item()
        elif numpy is not None and isinstance(item, numpy.ndarray) and item.dtype.kind in PLAIN_KINDS:
            whole = numpy.ascontiguousarray(item)
            view = memoryview(whole.reshape(-1).view(numpy.uint8))
            notes.append([view.nbytes, item.dtype.str, list(item.shape)])
        else:
            raise TypeError(f"{type(item).__qualname__} cannot travel to another process")
        buffers.append(view)
        return {mark: len(buffers) - 1}

    try:
        return Packed(orjson.dumps(value, default=aside), notes, buffers)
    except TypeError as error:
        raise NotPortable(str(error.__cause__ or error)) from error


def restore(value: Any, things: Sequence[object], mark: str) -> Any:
    """The value again, with `things` where their notes stood."""
    if not things:
        return value
    if isinstance(value, list):
        return [restore(item, things, mark) for item in value]
    if isinstance(value, dict):
        if mark in value:
            return things[value[mark]]
        return {key: restore(item, things, mark) for key, item in value.items()}
    return value


def import_name(fn: Callable[..., object]) -> str:
    """The `module:name` under which another process finds a function.

    Raises:
        NotPortable: it has none: a lambda, an inner function, a method of an object, or the program's own script.
    """
    module, name = getattr(fn, "__module__", None), getattr(fn, "__qualname__", None)
    path = f"{module}:{name}"
    if module == "__main__":
        raise NotPortable(f"{path} is part of the script; put it into a module to run it in a process")
    try:
        found = resolve(path)
    except (ImportError, AttributeError, ValueError):
        found = None
    if found is not fn and found != fn:
        raise NotPortable(f"{name or fn!r} has no import name; a process needs a function of a module")
    return path


def resolve(path: str) -> Callable[[Any], Any]:
    """The function of an import name."""
    module, name = path.split(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found  # type: ignore[no-any-return]  # looked up, not declared
