"""Which topics a message is heard on, and what the broker was asked for."""

from collections import Counter
from collections.abc import Iterable, Mapping

from mynah_bus.link import Filter, Link
from mynah_contracts import OBSERVERS, Kind, Message, Role


def filters_for(
    kind: type[Message], role: Role, *, base: str, instance: str, where: Mapping[str, str]
) -> tuple[Filter, ...]:
    """The subscriptions through which a role hears a message; TypeError if it may not.

    Workers share the topic of a command that is theirs, and each hears its own below it. `where` fills parameters of
    topics that would stand open.
    """
    contract = kind.contract
    if contract.topic is None:
        return ()
    topic = contract.topic
    for parameter in contract.parameters:
        topic = topic.replace(f"{{{parameter}}}", where.get(parameter, "+"))
    topic = f"{base}/{topic}"
    qos = contract.qos
    if contract.kind is Kind.COMMAND and role in contract.to:
        return (
            Filter(f"$share/{role.value}/{topic}", qos, live_only=True),
            Filter(f"{topic}/{instance}", qos, live_only=True),
        )
    if role not in (*contract.to, *contract.overheard_by, *OBSERVERS):
        raise TypeError(f"{contract.name} is not for {role.value} to hear")
    if contract.kind is Kind.COMMAND:
        return (Filter(topic, qos, live_only=True), Filter(f"{topic}/+", qos, live_only=True))
    return (Filter(topic, qos),)


class Subscriptions:
    """What is wanted, by how many, and what the present connection has."""

    def __init__(self) -> None:
        self._wanted: Counter[Filter] = Counter()
        self._subscribed: set[Filter] = set()

    def want(self, filters: Iterable[Filter]) -> None:
        """Let somebody hear these."""
        self._wanted.update(filters)

    def unwant(self, filters: Iterable[Filter]) -> None:
        """Somebody hears these no longer."""
        self._wanted -= Counter(filters)

    def forget(self) -> None:
        """A new connection has none."""
        self._subscribed.clear()

    async def begin(self, link: Link, again: Iterable[Filter] = ()) -> None:
        """Subscribe to what is wanted and missing, and once more to some whose retained messages are wanted again."""
        repeated = [each for each in again if each in self._subscribed]
        while missing := [each for each in self._wanted if each not in self._subscribed]:
            await link.subscribe(missing)
            self._subscribed.update(missing)
        if repeated:
            await link.subscribe(repeated)

    async def end(self, link: Link) -> None:
        """Unsubscribe from what nobody wants any more."""
        unwanted = [each for each in self._subscribed if each not in self._wanted]
        self._subscribed.difference_update(unwanted)
        if unwanted:
            await link.unsubscribe([each.topic for each in unwanted])
