"""Lets a processor know what it works on."""

from contextvars import ContextVar

from mynah_tasks.stores import Claim

_claim: ContextVar[Claim] = ContextVar("claim")


def current_claim() -> Claim:
    """The claim under which this code runs, on the loop or in a thread; raises LookupError elsewhere.

    `claim.task.id` is the same in every attempt: the key to give to services that refuse to do a thing twice.
    """
    return _claim.get()


def set_claim(claim: Claim) -> None:
    """Say what the current asyncio task works on."""
    _claim.set(claim)
