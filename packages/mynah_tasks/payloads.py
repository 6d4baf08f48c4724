"""Payloads that nobody else can change."""

from typing import Any


def fresh(payload: Any) -> Any:
    """The payload for one owner, who may change it: its lists and dicts are copies, anything else is itself."""
    try:
        return _copied(payload)
    except RecursionError:
        return payload


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind is dict:
        return {key: _copied(each) for key, each in value.items()}
    if kind is list:
        return [_copied(each) for each in value]
    if kind is tuple:
        return tuple(_copied(each) for each in value)
    return value
