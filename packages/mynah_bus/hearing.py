"""What arrives: decoded once, given to everyone who listens, turned away when it does not fit."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from mynah_bus.errors import BadMessage
from mynah_bus.packet import Packet
from mynah_bus.wire import Received, decode, message_type
from mynah_contracts import Kind, Message, Role

log = logging.getLogger(__name__)

SEEN: Final = 4_096
"""Events whose identifiers are remembered, so that none is heard twice."""
RETAINED_COMMAND: Final = "A retained command is refused: it would be done again at every start."
ELSEWHERE: Final = "It is not about what its topic says."
"""A forger's: rights go by topic, so a worker may tell its own health and no other's."""
LONGEST_TOPIC: Final = 256
"""Characters below the base; no declared topic is longer, and what is known of topics is kept."""

Listener = Callable[[Received], None]


class Hearing:
    """The listeners of a bus; nothing that arrives waits for one of them.

    `count` counts what becomes of packets, `turned_away` is told what is for our role and does not fit.
    """

    def __init__(
        self,
        *,
        prefix: str,
        role: Role,
        instance: str,
        count: Callable[[str], None],
        turned_away: Callable[[Packet, type[Message], BadMessage], None],
    ) -> None:
        self._prefix = prefix
        self._role = role
        self._own = f"/{instance}"
        self._count = count
        self._turned_away = turned_away
        self._listeners: dict[type[Message], list[Listener]] = {}
        self._seen: OrderedDict[tuple[type[Message], str], None] = OrderedDict()

    def add(self, kind: type[Message], listener: Listener) -> None:
        """Tell a listener of every message of a type."""
        self._listeners.setdefault(kind, []).append(listener)

    def remove(self, kind: type[Message], listener: Listener) -> None:
        """Tell it no more."""
        self._listeners[kind].remove(listener)

    def arrived(self, packet: Packet) -> None:
        """Give a packet to those who listen."""
        topic = packet.topic
        if not topic.startswith(self._prefix) or len(topic) - len(self._prefix) > LONGEST_TOPIC:
            return
        kind = message_type(topic[len(self._prefix) :])
        listeners = self._listeners.get(kind) if kind is not None else None
        if kind is None or not listeners or self._is_void(packet, kind):
            return
        try:
            if packet.retain and kind.contract.kind is Kind.COMMAND:
                raise BadMessage(RETAINED_COMMAND)  # noqa: TRY301  # the same answer as to what does not fit
            received = decode(packet, kind)
            if kind.contract.parameters and received.message.topic != topic[len(self._prefix) :]:
                raise BadMessage(ELSEWHERE)  # noqa: TRY301
        except BadMessage as error:
            self._count("bad_messages")
            if self._role in kind.contract.to:  # who overhears it leaves the answer to them
                self._turned_away(packet, kind, error)
            return
        if self._is_public(kind) and self._is_known(kind, received.envelope.id):
            self._count("duplicates")
            return
        self._count("received")
        for listener in tuple(listeners):
            try:
                listener(received)
            except Exception:  # whose bug it is, it must not cost the connection
                log.exception("A listener of %s raised", kind.contract.name)
                self._count("bugs")

    def _is_public(self, kind: type[Message]) -> bool:
        """Whether others hear it too, so that nobody answers for its being heard once; a command moves with its id."""
        contract = kind.contract
        return contract.kind is Kind.EVENT or (contract.kind is Kind.COMMAND and self._role not in contract.to)

    def _is_void(self, packet: Packet, kind: type[Message]) -> bool:
        """Whether a packet means nothing: the end of what was retained, or what lay unread while we stood still.

        Who sent a command to us alone has moved to another worker by then, or asks again.
        """
        if not packet.payload and (kind.contract.kind is Kind.STATE or packet.retain):
            return True
        if not packet.waited:
            return False
        expired = packet.expires is not None and packet.waited >= packet.expires
        moved = kind.contract.kind is Kind.COMMAND and packet.topic.endswith(self._own)
        if expired or moved:
            self._count("late")
        return expired or moved

    def _is_known(self, kind: type[Message], identifier: str) -> bool:
        """Whether one of this kind was heard before; remembers it. Who may say another kind may have taken its name."""
        if not identifier:
            return False
        event = kind, identifier
        if event in self._seen:
            return True
        self._seen[event] = None
        if len(self._seen) > SEEN:
            self._seen.popitem(last=False)
        return False
