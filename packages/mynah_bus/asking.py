"""The requests of a bus: each is sent, told of its answer, and sent again when the connection was lost."""

from collections.abc import Callable
from typing import Final

from mynah_bus.errors import BusClosed
from mynah_bus.exchange import Exchange
from mynah_bus.fleet import Fleet
from mynah_bus.packet import Packet
from mynah_bus.wire import Received, encode
from mynah_contracts import Command

CLOSED: Final = "The bus was closed before the answer came."


class Asking:
    """Requests that wait for their answer; `attempt` sends a packet now or says that it cannot."""

    def __init__(
        self,
        *,
        fleet: Fleet,
        prefix: str,
        source: str,
        reply_topic: str,
        attempt: Callable[[Packet, Callable[[int], None]], bool],
    ) -> None:
        self._fleet = fleet
        self._prefix = prefix
        self._source = source
        self._reply_topic = reply_topic
        self._attempt = attempt
        self._pending: dict[str, Exchange] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def exchange(self, command: Command, timeout: float, *, parts: bool) -> Exchange:
        """A request, which is sent when it is entered."""
        return Exchange(
            command,
            timeout=timeout,
            fleet=self._fleet,
            send=self._send,
            streaming=parts,
            pending=self._pending,
            reply_to=f"{self._reply_topic}/{command.contract.to[0].value}",
        )

    def heard(self, topic: str, received: Received) -> bool:
        """Tell a request of what has come for it; False when nobody waits for that, there.

        Rights go by topic: only the role that is asked can answer where it is expected to.
        """
        identifier = received.envelope.correlation_id or (received.correlation or b"").decode(errors="replace")
        exchange = self._pending.get(identifier)
        if exchange is None or exchange.reply_to != topic:
            return False
        exchange.answered(received)
        return True

    def reconnected(self) -> None:
        """Send again what may have been lost."""
        for exchange in tuple(self._pending.values()):
            exchange.reconnected()

    def close(self) -> None:
        """Fail what is pending."""
        for exchange in tuple(self._pending.values()):
            exchange.fail(BusClosed(CLOSED))

    def _send(self, exchange: Exchange, instance: str | None, told: Callable[[int], None]) -> bool:
        """Send a request to one worker, or to whoever shares its topic."""
        command = exchange.command
        topic = f"{self._prefix}{command.topic}"
        packet = encode(
            command,
            topic=topic if instance is None else f"{topic}/{instance}",
            source=self._source,
            context=exchange.context,
            identifier=exchange.id,
            correlation_id=exchange.correlation_id,
            reply_to=exchange.reply_to,
        )
        packet.expires = exchange.expires
        if instance is None:  # whoever takes it may be a stranger who reads no envelope
            packet.response_topic = exchange.reply_to
            packet.correlation = exchange.correlation_id.encode()
        return self._attempt(packet, told)
