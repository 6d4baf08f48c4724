"""notification: tells somebody something, over a channel that is known by name."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import orjson
from pydantic import Field, JsonValue

from mynah_resilience.calls import invoke
from mynah_tasks.errors import TaskError, Unretryable
from mynah_tasks.task_types.typed import NotConfigured, Payload, typed

AGAIN = {http.client.REQUEST_TIMEOUT, http.client.TOO_EARLY, http.client.TOO_MANY_REQUESTS}
"""Answers that say to try once more, besides those of 500 and above."""


class Notification(Payload):
    """What to tell, and over which channel."""

    message: str = Field(min_length=1, max_length=100_000)
    title: str = ""
    recipient: str | None = None
    channel: str = "default"
    """The name under which it was configured; never an address."""
    data: dict[str, JsonValue] = Field(default_factory=dict)
    """Whatever else the receiver understands."""


class Sender(Protocol):
    """A way to reach somebody."""

    async def send(self, notification: Notification) -> None:
        """Deliver; raises NotSent when it was not."""


class NotSent(TaskError):
    """The channel did not take the notification."""

    code = "not_sent"


class Refused(Unretryable):
    """The channel will not take this notification, however often it is tried."""

    code = "notification_refused"


class Notifications:
    """Sends notifications over the channels that were configured."""

    def __init__(self, channels: Mapping[str, Sender]) -> None:
        self._channels = dict(channels)
        self.process = typed(self._send)
        """The processor: says over which channel it was sent."""

    async def _send(self, notification: Notification) -> dict[str, str]:
        sender = self._channels.get(notification.channel)
        if sender is None:
            known = ", ".join(self._channels) or "none"
            raise NotConfigured(
                f"there is no channel {notification.channel!r} (configured: {known}); give the task types a sender"
                f" under this name, for instance Webhook('https://…')"
            )
        await sender.send(notification)
        return {"channel": notification.channel, "status": "sent"}


class Webhook:
    """Posts notifications as JSON to one address, http or https, which comes from the configuration."""

    def __init__(self, url: str, *, headers: Mapping[str, str] | None = None, limit_seconds: float = 10.0) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"a webhook is an http or https address, not {url!r}")
        self._url = url
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._limit = limit_seconds
        self._opener = urllib.request.build_opener(_NoRedirects())

    async def send(self, notification: Notification) -> None:
        """Deliver; raises NotSent, or Refused for an answer that will not change."""
        await invoke(partial(self._post, orjson.dumps(notification.model_dump())))

    def _post(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, self._headers, method="POST")  # noqa: S310  # checked above
        try:
            with self._opener.open(request, timeout=self._limit):
                return
        except urllib.error.HTTPError as error:
            error.close()
            again = error.code >= http.client.INTERNAL_SERVER_ERROR or error.code in AGAIN
            raise (NotSent if again else Refused)(f"the webhook answered {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise NotSent(f"the webhook cannot be reached: {error}") from error


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected webhook is an error: what it was configured for is elsewhere."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None: do not follow."""
