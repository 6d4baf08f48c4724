"""What can go wrong on the bus.

MynahError             expected: answered with `Failed`, the worker goes on
├── BadMessage         what arrived does not fit its contract
├── TooLarge           the broker does not take messages of that size
├── EngineFailed       a model, a device or a remote service let us down
└── RequestFailed      a request was not answered as hoped; carries the code of the failure
    ├── NoWorker       nobody who could answer is up
    ├── RequestTimeout the deadline passed
    └── BusClosed      this end of the bus was closed meanwhile
"""


class MynahError(Exception):
    """An expected failure: `code` is stable and for machines, the message is for people."""

    code = "failed"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None, retryable: bool | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable


class BadMessage(MynahError):
    """What arrived does not fit its contract."""

    code = "bad_message"


class TooLarge(MynahError):
    """The broker does not take messages of that size."""

    code = "too_large"


class EngineFailed(MynahError):
    """A model, a device or a remote service let us down."""

    code = "engine"


class RequestFailed(MynahError):
    """A request was answered with a failure."""


class NoWorker(RequestFailed):
    """Nobody who could answer is up."""

    code = "no_worker"
    retryable = True


class RequestTimeout(RequestFailed):
    """No answer came before the deadline."""

    code = "timeout"
    retryable = True


class BusClosed(RequestFailed):
    """This end of the bus was closed before the answer came."""

    code = "closed"
