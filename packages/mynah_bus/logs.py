"""Logs that a person can read and grep: one line per decision, with the turn it belongs to."""

import logging
import sys
from types import TracebackType

import orjson

from mynah_bus.context import current

TEXT = "%(asctime)s - %(name)s - %(levelname)s - %(message)s%(conversation)s"


class ConversationFilter(logging.Filter):
    """Adds the turn, the session and the correlation id of the code that logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, with `conversation` set."""
        context = current()
        parts = {"turn": context.turn, "session": context.session, "correlation_id": context.correlation_id}
        ids = {name: value for name, value in parts.items() if value}
        record.__dict__.update(ids=ids, conversation="".join(f" {name}={value}" for name, value in ids.items()))
        return True


def printable(text: str) -> str:
    """A text of one line that commands no terminal: what is not printable is written as its escape."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class TextFormatter(logging.Formatter):
    """One line for people; below it, indented, where an exception came from."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line, which holds words of others."""
        return printable(super().formatMessage(record))

    def formatException(  # noqa: N802  # logging's name
        self, ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
    ) -> str:
        """The traceback, of which no line looks like one of the log."""
        return "\n".join(f"  {printable(line)}" for line in super().formatException(ei).split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line, for log collectors."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON."""
        entry = {
            "ts": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "ids", {}),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(entry, default=str).decode()


def set_up(level: str = "INFO", style: str = "text") -> None:
    """Log to standard error, in `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(ConversationFilter())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter(TEXT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
