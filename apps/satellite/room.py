"""A satellite on the bus: ears, mouth, and what connects them."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self

from mynah_bus import Bus, current, handles
from mynah_contracts import Health, MicControl, PlaybackControl, Role, SatelliteControl, Speech, TurnEvent
from satellite.ears import Ears
from satellite.listener import Listener
from satellite.mouth import Mouth
from satellite.sinks import Sink
from satellite.sources import Source

ROUTER_GONE = "I encountered an error: the router went down."
OVER = frozenset({"done", "cancelled", "failed"})


class Room:
    """Listens at a source and speaks at a sink, as long as the block lasts."""

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
        self.mouth = Mouth(bus, name, sink)
        self.ears: Ears | None = None
        if source is not None:
            self.ears = Ears(
                bus, name, source, listener, push_to_talk=push_to_talk, watched=watched, begun=self._turn_begun
            )
        self._stack = AsyncExitStack()
        self._turn: str | None = None
        self._last: TurnEvent | None = None
        self._over = asyncio.Event()

    async def __aenter__(self) -> Self:
        stack = self._stack
        await stack.enter_async_context(self._sink)
        if self._source is not None:
            await stack.enter_async_context(self._source)
        self._bus.fleet.on_change.add(self._fleet_changed)
        stack.callback(self._bus.fleet.on_change.discard, self._fleet_changed)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
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
            self.mouth.add(speech)

    @handles
    async def control(self, control: SatelliteControl) -> None:
        """Do what the router says about a turn."""
        if control.satellite != self._name:
            return
        match control.action:
            case "finish":
                self.mouth.announce(current().turn or "", control.sentences)
            case "stop" if self.mouth.turn == current().turn:
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
        if event.turn_id == self._turn and event.phase in OVER:
            self._last = event
            self._over.set()

    def _fleet_changed(self, health: Health) -> None:
        """Without the router nobody ends our turn: end it here, and be heard doing so."""
        if health.service is Role.ROUTER and health.status == "down" and self._turn and not self._over.is_set():
            self._last = TurnEvent(turn_id=self._turn, satellite=self._name, phase="failed", error=ROUTER_GONE)
            self.mouth.stop("error")
            self.mouth.alarm()
            self._over.set()

    def _turn_begun(self, turn: str) -> None:
        """What was being said is cut: somebody has something else in mind."""
        self.mouth.stop("interrupted")
        self._turn = turn
        self._over.clear()
