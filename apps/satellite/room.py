"""A satellite on the bus: ears, mouth, and what connects them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, Self

from mynah_bus import Bus, conversation, current, handles
from mynah_contracts import (
    Health,
    MicControl,
    PlaybackControl,
    Role,
    SatelliteControl,
    Speech,
    TurnEvent,
    WakeEvent,
)
from satellite.ears import Ears
from satellite.listener import Listener
from satellite.mouth import Mouth
from satellite.sinks import Sink
from satellite.sources import Source

ROUTER_GONE: Final = "I encountered an error: the router went down."
NO_ROUTER: Final = "I encountered an error: no router is running."
BROKEN_OFF: Final = "I encountered an error: the rest of the answer did not arrive."
NO_SIGN: Final = "I encountered an error: the router does not follow this turn."
SIGN_WITHIN_S: Final = 3.0
"""How long the router may take to show that it knows what it was told about a turn."""
OVER: Final = frozenset({"done", "cancelled", "failed"})


class Room:
    """Listens at a source and speaks at a sink, as long as the block lasts.

    The router ends each turn. When it cannot, because it is gone or a message was lost with the connection, the room
    ends the turn itself, audibly, and nothing of that turn is played afterwards.
    """

    def __init__(  # what a room is made of
        self,
        bus: Bus,
        name: str,
        source: Source | None,
        sink: Sink,
        listener: Callable[[], Listener],
        *,
        push_to_talk: bool = False,
        watched: bool = True,
    ) -> None:
        self._bus = bus
        self._source = source
        self._sink = sink
        self._name = name
        self.mouth = Mouth(bus, name, sink, self._broken_off)
        self.ears: Ears | None = None
        if source is not None:
            self.ears = Ears(
                bus,
                name,
                source,
                listener,
                push_to_talk=push_to_talk,
                watched=watched,
                begun=self._turn_begun,
                told=self._expect_sign,
            )
        self._stack = AsyncExitStack()
        self._turn: str | None = None
        self._last: TurnEvent | None = None
        self._over = asyncio.Event()
        self._overdue: asyncio.TimerHandle | None = None
        self._is_finished = False
        """Whether the router has said how many sentences the turn has."""

    async def __aenter__(self) -> Self:
        stack = self._stack
        await stack.enter_async_context(self._sink)
        if self._source is not None:
            await stack.enter_async_context(self._source)
        self._bus.fleet.on_change.add(self._fleet_changed)
        stack.callback(self._bus.fleet.on_change.discard, self._fleet_changed)
        self._bus.on_reconnect.add(self._reconnected)
        stack.callback(self._bus.on_reconnect.discard, self._reconnected)
        stack.callback(self._sign)
        self._tasks = tasks = await stack.enter_async_context(asyncio.TaskGroup())
        playing = tasks.create_task(self.mouth.play(), name="play")
        stack.callback(playing.cancel)
        if self.ears is not None:
            listening = tasks.create_task(self.ears.listen(), name="listen")
            stack.callback(listening.cancel)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def turn_over(self) -> TurnEvent:
        """Wait until a turn that began here has ended, and all of its answer has been played."""
        await self._over.wait()
        await self.mouth.silent.wait()
        assert self._last is not None
        return self._last

    @handles(waiting=1_000)
    async def speech(self, speech: Speech) -> None:
        """Play a piece when it is its turn."""
        if speech.satellite == self._name:
            self._sign_of(current().turn)
            self.mouth.add(speech)

    @handles
    async def control(self, control: SatelliteControl) -> None:
        """Do what the router says about a turn."""
        if control.satellite != self._name:
            return
        turn = current().turn
        self._sign_of(turn)
        match control.action:
            case "finish":
                self._is_finished = self._is_finished or turn == self._turn
                self.mouth.announce(turn or "", control.sentences)
            case "stop" if self.mouth.turn == turn:
                self.mouth.stop(control.reason)
            case "stand_down" if self.ears is not None:
                await self.ears.stand_down()
            case "resume":
                self.mouth.resume(control.reason)

    @handles
    async def playback(self, control: PlaybackControl) -> None:
        """Pause, resume or stop, as somebody wants it."""
        if control.satellite not in {"", self._name}:
            return
        match control.action:
            case "pause":
                self.mouth.pause(control.reason)
            case "resume":
                self.mouth.resume(control.reason)
            case "stop":
                self.mouth.stop(control.reason)

    @handles
    async def microphone(self, control: MicControl) -> None:
        """Close or open the microphone."""
        if control.satellite in {"", self._name} and self.ears is not None:
            self.ears.mute(muted=control.action == "mute")

    @handles
    async def follow(self, event: TurnEvent) -> None:
        """Know how our turn ended."""
        self._sign_of(event.turn_id)
        if event.turn_id == self._turn and event.phase in OVER:
            self._end(event)

    # -- the turn, and who looks after it

    @property
    def _is_open(self) -> bool:
        return self._turn is not None and not self._over.is_set()

    def _turn_begun(self, turn: str) -> None:
        """What was being said is cut: somebody has something else in mind."""
        self.mouth.stop("interrupted")
        self._turn = turn
        self._is_finished = False
        self._over.clear()
        if self._bus.connected.is_set() and not self._bus.fleet.is_up(Role.ROUTER):
            self._give_up(NO_ROUTER)

    def _fleet_changed(self, health: Health) -> None:
        """Without the router nobody ends our turn."""
        if health.service is Role.ROUTER and health.status == "down" and self._is_open:
            self._give_up(ROUTER_GONE)

    def _reconnected(self) -> None:
        """What was sent to us meanwhile is lost: once nothing is left to play, the router has to show itself."""
        if self._turn is not None and self._is_open:
            self.mouth.hurry(self._turn)
            self._tasks.create_task(self._expect_sign_after_speech(), name="expect")

    def _broken_off(self, turn: str) -> None:
        if turn == self._turn and self._is_open:
            self._is_finished = False
            self._give_up(BROKEN_OFF)
        else:
            self.mouth.alarm()

    async def _expect_sign_after_speech(self) -> None:
        await self.mouth.silent.wait()
        self._expect_sign()

    def _expect_sign(self) -> None:
        """The router was told something about the turn, and says so; else the turn is given up."""
        self._sign()
        if self._is_open:
            self._overdue = asyncio.get_running_loop().call_later(SIGN_WITHIN_S, self._give_up, NO_SIGN)

    def _sign_of(self, turn: str | None) -> None:
        if turn == self._turn:
            self._sign()

    def _sign(self) -> None:
        """The turn is looked after."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _give_up(self, why: str) -> None:
        """End the turn here, audibly unless all of its answer is here; whoever still works on it is told to stop."""
        assert self._turn is not None
        if not self._is_finished:
            self.mouth.drop(self._turn, "error")
            self.mouth.alarm()
        with conversation(turn=self._turn, session=self._name):
            self._bus.publish(WakeEvent(type="cancelled", satellite=self._name, cause=why))
        self._end(TurnEvent(turn_id=self._turn, satellite=self._name, phase="failed", error=why))

    def _end(self, event: TurnEvent) -> None:
        self._sign()
        self._last = event
        self._over.set()
