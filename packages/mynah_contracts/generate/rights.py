"""The broker's rights as configuration of mosquitto's dynamic-security plugin: what the contracts say, nothing else."""

import base64
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from mynah_contracts import CATALOGUE, OBSERVERS, Kind, Message, Role

BASE = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+)*")
ITERATIONS: Final = 1_000
"""Passwords are random, so this buys time against a guest's own choice only; each connect pays for it."""
SALT_BYTES: Final = 12
"""Mosquitto 2.0 takes no other length."""


def dynamic_security(
    base: str,
    passwords: Mapping[Role, str],
    salt: Callable[[int], bytes] = secrets.token_bytes,
) -> dict[str, Any]:
    """A user for each password and the rights of every role, on topics below a base; ValueError if that is no topic."""
    if not BASE.fullmatch(base):
        raise ValueError(f"{base!r} cannot stand before a topic: write lower-case words with slashes between them")
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,  # nobody can end a subscription but their own
        },
        "clients": [_client(role, password, salt(SALT_BYTES)) for role, password in passwords.items()],
        "roles": [{"rolename": role.value, "acls": list(_rules(base, role))} for role in Role],
    }


def _client(role: Role, password: str, salt: bytes) -> dict[str, Any]:
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return {
        "username": role.value,
        "roles": [{"rolename": role.value}],
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


def _rules(base: str, role: Role) -> Iterator[dict[str, Any]]:
    for topic in sorted(set(_sent(base, role))):
        yield _rule("publishClientSend", topic)
    heard, subscribed = set(_heard(base, role)), set(_subscribed(base, role))
    if role in OBSERVERS:
        subscribed.add(f"{base}/#")
        yield _rule("publishClientReceive", f"{base}/#")
        for topic in sorted(set(_hidden(base)) - heard):
            yield _rule("publishClientReceive", topic, allow=False, priority=1)
    for topic in sorted(heard):
        yield _rule("publishClientReceive", topic, priority=2)
    for topic in sorted(subscribed):
        yield _rule("subscribePattern" if "+" in topic or "#" in topic else "subscribeLiteral", topic)


def _rule(acltype: str, topic: str, *, allow: bool = True, priority: int = 0) -> dict[str, Any]:
    """Of the rules that match a topic, the one of highest priority decides."""
    return {"acltype": acltype, "topic": topic, "priority": priority, "allow": allow}


def _sent(base: str, role: Role) -> Iterator[str]:
    """Where a role may publish: it answers those who may ask it something, and itself as an echo."""
    yield f"{base}/reply/{role.value}/#"
    for message, topic in _topics(base, speaker=role):
        if role in message.contract.by:
            yield topic
            if message.contract.kind is Kind.COMMAND:
                yield f"{topic}/+"
        if message.contract.kind is Kind.COMMAND and role in message.contract.to:
            yield from (_answers(base, asker, role) for asker in message.contract.by)


def _answers(base: str, asker: Role, answerer: Role) -> str:
    """Where one role answers another and nobody else does; tools at a shell hear all answers on one topic."""
    return f"{base}/reply/{asker.value}/" + ("#" if asker is Role.GUEST else f"+/{answerer.value}")


def _heard(base: str, role: Role) -> Iterator[str]:
    """What a role receives, by whatever subscription."""
    yield f"{base}/reply/{role.value}/#"
    for message, topic in _topics(base):
        if role in (*message.contract.to, *message.contract.overheard_by):
            yield topic
            if message.contract.kind is Kind.COMMAND:
                yield f"{topic}/+"


def _subscribed(base: str, role: Role) -> Iterator[str]:
    """What a role subscribes to: commands that it handles are shared among its workers."""
    yield f"{base}/reply/{role.value}/#"
    for message, topic in _topics(base):
        contract = message.contract
        handled = contract.kind is Kind.COMMAND and role in contract.to
        if handled:
            yield f"$share/{role.value}/{topic}"
            yield f"{topic}/+"
        if role in contract.overheard_by or (role in contract.to and not handled):
            yield topic
            if contract.kind is Kind.COMMAND:
                yield f"{topic}/+"


def _hidden(base: str) -> Iterator[str]:
    """What observers do not receive: audio, and the replies to others."""
    yield f"{base}/reply/#"
    for message, topic in _topics(base):
        if message.contract.body is not None:
            yield topic
            if message.contract.kind is Kind.COMMAND:
                yield f"{topic}/+"


def _topics(base: str, speaker: Role | None = None) -> Iterator[tuple[type[Message], str]]:
    """Every message with its topic as a filter; a speaker can put nobody's role in it but its own."""
    for message in CATALOGUE.values():
        contract = message.contract
        if contract.topic is None:
            continue
        filled = dict.fromkeys(contract.parameters, "+")
        if speaker is not None:
            filled |= {
                name: speaker.value for name in contract.parameters if message.model_fields[name].annotation is Role
            }
        yield message, f"{base}/{contract.topic.format(**filled)}"
