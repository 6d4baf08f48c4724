"""What the guards raise.

ResilienceError      expected: a guard did its work
├── CircuitOpen      the dependency is given time to recover, the call was not made
├── NoThread         every thread that could make the call is in one that does not return
└── WrongThread      a component of one event loop was touched from another thread
"""

from collections.abc import Collection


class ResilienceError(Exception):
    """A guard refused; `code` is stable and for machines, the message is for people."""

    code = "resilience"


class CircuitOpen(ResilienceError):
    """The breaker `name` lets no call through; trying again makes sense in `retry_in` seconds."""

    code = "circuit_open"

    def __init__(self, name: str, retry_in: float) -> None:
        super().__init__(f"{name} is not called: its circuit is open, try again in {retry_in:.1f} s")
        self.name = name
        self.retry_in = retry_in

    def __reduce__(self) -> tuple[type["CircuitOpen"], tuple[str, float]]:
        return type(self), (self.name, self.retry_in)


class NoThread(ResilienceError):
    """All threads of `name` hang in the calls `hung`; no other call is made before one of them returns."""

    code = "no_thread"

    def __init__(self, name: str, hung: Collection[str]) -> None:
        super().__init__(f"all {len(hung)} threads of {name} hang in {', '.join(dict.fromkeys(hung))}")


class WrongThread(ResilienceError):
    """The component belongs to one thread and this is another."""

    code = "wrong_thread"
