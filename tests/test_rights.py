"""What a user of the broker can do is what the contracts of its role say: asserted on what is delivered."""

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mynah_contracts import CATALOGUE, OBSERVERS, Kind, Message, Role, Said, Transcribe, Transcript
from mynah_contracts.generate.rights import dynamic_security
from mynah_contracts.tests.brokers import Broker, Probe, mosquitto, needs_mosquitto

pytestmark = needs_mosquitto

WITNESS = "witness"
"""A user that only this test knows: it may do everything, and so sees what was delivered."""


@dataclass(frozen=True)
class Place:
    """A topic, and what the contracts say about it."""

    topic: str
    message: type[Message] | None = None
    about: Role | None = None
    """The role whose name stands in the topic."""
    directed: bool = False
    """Whether it is one worker's own topic of a command."""
    answerer: Role | None = None
    """Who answers there."""

    def may_send(self, role: Role) -> bool:
        if self.message is None:
            return self.about is role or (
                (self.answerer is role or self.about is Role.GUEST)
                and any(
                    role in declared.contract.to and self.about in declared.contract.by
                    for declared in CATALOGUE.values()
                    if declared.contract.kind is Kind.COMMAND
                )
            )
        return role in self.message.contract.by and self.about in {None, role}

    def may_receive(self, role: Role) -> bool:
        """By whatever subscription."""
        if self.message is None:
            watched = self.topic.startswith("mynah/") and not self.topic.startswith("mynah/reply")
            return self.about is role or (role in OBSERVERS and watched)
        contract = self.message.contract
        return role in (*contract.to, *contract.overheard_by) or (role in OBSERVERS and contract.body is None)

    def may_subscribe(self, role: Role) -> bool:
        """To this very topic: who handles a command hears it on its own topic and by the shared subscription only."""
        if not self.may_receive(role):
            return False
        if self.message is None or self.message.contract.kind is not Kind.COMMAND or self.directed:
            return True
        return role in self.message.contract.overheard_by or role in OBSERVERS

    def may_share(self, role: Role, group: str) -> bool:
        if self.message is None or self.message.contract.kind is not Kind.COMMAND or self.directed:
            return False
        return role in self.message.contract.to and group == role.value


def places() -> Iterator[Place]:
    for message in CATALOGUE.values():
        contract = message.contract
        if contract.topic is None:
            continue
        roles = [name for name in contract.parameters if message.model_fields[name].annotation is Role]
        for about in Role if roles else (None,):
            values = {name: about if name in roles else "x1" for name in contract.parameters}
            topic = f"mynah/{contract.topic.format(**values)}"
            yield Place(topic, message, about)
            if contract.kind is Kind.COMMAND:
                yield Place(f"{topic}/x1", message, about, directed=True)
    for role in Role:
        yield Place(f"mynah/reply/{role.value}/x1", about=role)
        for answerer in Role:
            yield Place(f"mynah/reply/{role.value}/x1/{answerer.value}", about=role, answerer=answerer)
    for stranger in (
        "mynah/unknown/word",
        "mynah/stt",
        "mynah/stt/final/deeper",
        "mynah/system/health/stt",
        "mynah/reply",
    ):
        yield Place(stranger)
    for outside in ("elsewhere/stt/final", "stt/final", "/mynah/stt/final"):
        yield Place(outside)


PLACES = tuple(places())
RECORDING = f"mynah/{Transcribe.contract.topic}"
TRANSCRIPT = f"mynah/{Transcript.contract.topic}"
SAID = f"mynah/{Said.contract.topic}"
every_role = pytest.mark.parametrize("role", Role)


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    passwords = {role: secrets.token_urlsafe() for role in Role}
    rights = dynamic_security("mynah", passwords)
    everything = ("#", "$SYS/#", "$CONTROL/#", "$share/#")
    rights["roles"].append(
        {
            "rolename": WITNESS,
            "acls": [
                {"acltype": acltype, "topic": topic, "allow": True}
                for acltype in ("publishClientSend", "publishClientReceive", "subscribePattern")
                for topic in everything
            ],
        }
    )
    witness = dynamic_security("mynah", {Role.GUEST: "seen"})["clients"][0]
    rights["clients"].append({**witness, "username": WITNESS, "roles": [{"rolename": WITNESS}]})
    async with mosquitto(
        tmp_path, rights, {WITNESS: "seen"} | {role.value: passwords[role] for role in Role}
    ) as running:
        yield running


async def everything_sent_so_far(witness: Probe) -> set[tuple[str, str]]:
    """What the witness, who hears all, has heard."""
    await witness.published("mynah/end")
    await witness.arrived("mynah/end")
    return {(delivery.topic, delivery.payload.decode()) for delivery in witness.received} - {("mynah/end", "x")}


async def heard_by(probe: Probe, role: Role, witness: Probe) -> set[str]:
    """The topics that have reached a client, which hears its own reply topic."""
    end = f"mynah/reply/{role.value}/end"
    await witness.published(end)
    await probe.arrived(end)
    topics = {delivery.topic for delivery in probe.received} - {end}
    probe.received.clear()
    return topics


@every_role
@pytest.mark.req("MQ-20", "S02")
async def test_what_a_role_may_not_send_reaches_nobody(broker: Broker, role: Role) -> None:
    async with broker.probe(WITNESS) as witness, broker.probe(role) as probe:
        await witness.subscribe("#")
        for place in PLACES:
            probe.publish(place.topic, role.value)
        await probe.settled()
        sent = await everything_sent_so_far(witness)
    assert sent == {(place.topic, role.value) for place in PLACES if place.may_send(role)}


@every_role
@pytest.mark.req("S02")
async def test_what_a_role_may_not_send_is_not_retained_either(broker: Broker, role: Role) -> None:
    async with broker.probe(WITNESS) as witness, broker.probe(role) as probe:
        for place in PLACES:
            probe.publish(place.topic, role.value, retain=True)
        await probe.settled()
        await witness.subscribe("#")
        kept = await everything_sent_so_far(witness)
    assert kept == {(place.topic, role.value) for place in PLACES if place.may_send(role)}


@every_role
@pytest.mark.req("S02")
async def test_a_last_will_says_only_what_its_role_may_send(broker: Broker, role: Role) -> None:
    async with broker.probe(WITNESS) as witness:
        await witness.subscribe("#")
        for place in (*PLACES, Place("mynah/reply/nobody/end")):
            # Each connection takes the session of the one before, whose will is spoken before this one is let in.
            async with broker.probe(role, "one-session", will=place.topic):
                pass
        async with broker.probe(role, "one-session"):
            spoken = await everything_sent_so_far(witness)
    assert spoken == {(place.topic, "will") for place in PLACES if place.may_send(role)}


@every_role
@pytest.mark.parametrize("retained", [False, True], ids=["live", "retained"])
@pytest.mark.req("S02")
async def test_a_role_hears_what_its_contracts_say_and_no_more(broker: Broker, role: Role, *, retained: bool) -> None:
    heard: dict[str, set[str]] = {}
    async with broker.probe(WITNESS) as witness, broker.probe(role) as probe:
        await probe.subscribe(f"mynah/reply/{role.value}/end")
        for place in PLACES:
            if retained:
                witness.publish(place.topic, retain=True)
                await witness.settled()
                await probe.subscribe(place.topic)
                witness.publish(place.topic, "", retain=True)
            else:
                await probe.subscribe(place.topic)
                await witness.published(place.topic)
            heard[place.topic] = await heard_by(probe, role, witness)
            await probe.unsubscribe(place.topic)
    assert heard == {place.topic: {place.topic} if place.may_subscribe(role) else set() for place in PLACES}


@every_role
@pytest.mark.req("S02", "S03")
async def test_a_shared_subscription_is_for_those_who_handle_the_command(broker: Broker, role: Role) -> None:
    heard: dict[tuple[str, str], bool] = {}
    groups = (*(role.value for role in Role), "another")
    async with broker.probe(WITNESS) as witness, broker.probe(role) as probe:
        await probe.subscribe(f"mynah/reply/{role.value}/end")
        for place in PLACES:
            for group in groups:
                await probe.subscribe(f"$share/{group}/{place.topic}")
                await witness.published(place.topic)
                heard[group, place.topic] = bool(await heard_by(probe, role, witness))
                await probe.unsubscribe(f"$share/{group}/{place.topic}")
    assert heard == {(group, place.topic): place.may_share(role, group) for place in PLACES for group in groups}


WILD = (
    *("#", "+/#", "+/+/+", "mynah/#", "mynah/+/+", "mynah/+/+/+", "mynah/+/final", "mynah/stt/#", "mynah/reply/#"),
    *("mynah/reply/+/x1", "mynah/satellite/#", "mynah/system/health/#", "$SYS/#", "$CONTROL/#", "$SYS/broker/version"),
    *("$share/stt/mynah/#", "$share/stt/#", "$share/stt/mynah/stt/+", "$share/+/mynah/stt/transcribe"),
)


@every_role
@pytest.mark.parametrize("retained", [False, True], ids=["live", "retained"])
@pytest.mark.req("S02")
async def test_wildcards_open_nothing(broker: Broker, role: Role, *, retained: bool) -> None:
    async with broker.probe(WITNESS) as witness, broker.probe(role) as probe:
        await probe.subscribe(f"mynah/reply/{role.value}/end")
        for place in PLACES if retained else ():
            witness.publish(place.topic, retain=True)
        await witness.settled()
        for wild in WILD:
            await probe.subscribe(wild)
        for place in () if retained else PLACES:
            witness.publish(place.topic)
        await witness.settled()
        heard = await heard_by(probe, role, witness)
    assert heard == ({place.topic for place in PLACES if place.may_receive(role)} if role in OBSERVERS else set())


async def test_the_witness_sees_what_the_roles_may_not(broker: Broker) -> None:
    async with broker.probe(WITNESS) as witness:
        await witness.subscribe("$SYS/broker/version")
        await witness.arrived("$SYS/broker/version")


@pytest.mark.req("S03")
async def test_nobody_steals_from_those_who_share(broker: Broker) -> None:
    async with contextlib.AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(broker.probe(Role.STT)) for _ in range(2)]
        thieves = [await stack.enter_async_context(broker.probe(role)) for role in Role if role is not Role.STT]
        for worker in workers:
            await worker.subscribe(f"$share/stt/{RECORDING}")
        for thief in thieves:
            await thief.subscribe(f"$share/stt/{RECORDING}")
            await thief.subscribe(f"$share/thieves/{RECORDING}")
        async with broker.probe(Role.SATELLITE) as satellite:
            for number in range(100):
                await satellite.published(RECORDING, str(number))
        for worker in workers:
            await worker.arrived(RECORDING, 50)
        for thief in thieves:
            await thief.settled()
    assert {delivery.payload for worker in workers for delivery in worker.received} == {b"%d" % n for n in range(100)}
    assert [thief.received for thief in thieves] == [[] for _ in thieves]


@pytest.mark.req("S02", "S05")
async def test_a_stolen_voice_hears_no_microphone_and_forges_no_transcript(broker: Broker) -> None:
    async with broker.probe(Role.TTS) as thief, broker.probe(Role.SATELLITE) as satellite:
        for wish in ("#", "mynah/#", RECORDING, f"{RECORDING}/+", f"$share/stt/{RECORDING}"):
            await thief.subscribe(wish)
        await satellite.published(RECORDING, b"sound")
        await satellite.published(f"{RECORDING}/x1", b"sound")
        async with broker.probe(Role.ROUTER) as router:
            await router.subscribe(TRANSCRIPT)
            await router.subscribe(SAID)
            await thief.published(TRANSCRIPT, "forged")
            await thief.published(SAID, "honest")
            await router.arrived(SAID)
        assert [delivery.payload for delivery in router.received] == [b"honest"]
        assert thief.received == []


@pytest.mark.req("S04")
@pytest.mark.parametrize("waiting", [True, False], ids=["queued", "live"])
async def test_a_session_taken_with_its_client_id_yields_nothing(broker: Broker, *, waiting: bool) -> None:
    # Mosquitto lets any user take any client id, which ends the other's connection and destroys its queue. No rule
    # forbids it while several workers share a user, so a worker's client id has to be one that nobody can guess.
    async with broker.probe(Role.STT, "known", clean=False, session_s=60) as victim:
        await victim.subscribe(f"{RECORDING}/x1")
        await victim.subscribe(f"$share/stt/{RECORDING}")
        if not waiting:
            async with broker.probe(Role.TTS, "known", clean=False, session_s=60) as thief:
                await victim.closed()
                await _say_something(broker)
                await thief.settled()
                assert thief.received == []
            return
    await _say_something(broker)
    async with broker.probe(Role.TTS, "known", clean=False, session_s=60) as thief:
        await thief.settled()
        assert thief.received == []


async def test_a_session_is_found_again_by_who_owns_it(broker: Broker) -> None:
    async with broker.probe(Role.STT, "known", clean=False, session_s=60) as worker:
        await worker.subscribe(f"{RECORDING}/x1")
    await _say_something(broker)
    async with broker.probe(Role.STT, "known", clean=False, session_s=60) as worker:
        await worker.arrived(f"{RECORDING}/x1")


async def _say_something(broker: Broker) -> None:
    async with broker.probe(Role.SATELLITE) as satellite:
        await satellite.published(f"{RECORDING}/x1")
        await satellite.published(RECORDING)


STRANGERS: dict[str, tuple[str | None, str | None]] = {
    "anonymous": (None, None),
    "no password": ("guest", None),
    "empty password": ("guest", ""),
    "wrong password": ("guest", "guess"),
    "unknown user": ("nobody", "guess"),
    "no user": ("", ""),
    "a wildcard": ("#", "guess"),
    "another wildcard": ("+", "guess"),
}


@pytest.mark.req("S01")
@pytest.mark.parametrize("who", STRANGERS)
async def test_strangers_stay_outside(broker: Broker, who: str) -> None:
    user, password = STRANGERS[who]
    with pytest.raises(ConnectionRefusedError):
        async with Probe.connected(broker.port, user, password):
            pass


@pytest.mark.req("S01")
async def test_a_password_opens_one_role(broker: Broker) -> None:
    for user in Role:
        for owner in Role:
            if user is not owner:
                with pytest.raises(ConnectionRefusedError):
                    async with Probe.connected(broker.port, user, broker.passwords[owner]):
                        pass


@every_role
@pytest.mark.req("S01")
async def test_nobody_gives_rights(broker: Broker, role: Role) -> None:
    order = {"commands": [{"command": "createClient", "username": "mallory", "password": "m"}]}
    async with broker.probe(role) as probe:
        await probe.published("$CONTROL/dynamic-security/v1", json.dumps(order))
    with pytest.raises(ConnectionRefusedError):
        async with Probe.connected(broker.port, "mallory", "m"):
            pass


async def test_who_may_give_rights_can(broker: Broker) -> None:
    order = {"commands": [{"command": "createClient", "username": "mallory", "password": "m"}]}
    async with broker.probe(WITNESS) as witness:
        await witness.published("$CONTROL/dynamic-security/v1", json.dumps(order))
    async with Probe.connected(broker.port, "mallory", "m"):
        pass
