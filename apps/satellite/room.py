"""A satellite on the bus: ears, mouth, and what connects them."""

import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final, Self

from mynah_audio.errors import AudioError
from mynah_bus import Bus, EngineFailed, current, handles
from mynah_bus.background import background
from mynah_contracts import (
    Health,
    MicControl,
    PlaybackControl,
    Role,
    SatelliteControl,
    SatelliteState,
    Speech,
    TurnEvent,
)
from satellite.ears import Ears
from satellite.echo import OwnVoice
from satellite.listener import Listener
from satellite.mouth import MISSING_FOR_S, Mouth
from satellite.sinks import Sink
from satellite.sources import Source
from satellite.turn import PATIENCE_S, OwnTurn

NO_BROKER: Final = "I encountered an error: there is no connection to the broker."
NO_ROUTER: Final = "I encountered an error: the router is not running."
NO_ANSWER: Final = "I encountered an error: no answer came."


class Room:
    """Listens at a source and speaks at a sink, as long as the block lasts; `deaf` is called when a source ends."""

    def __init__(  # noqa: PLR0913  # what a room is made of
        self,
        bus: Bus,
        name: str,
        source: Source | None,
        sink: Sink,
        listener: Callable[[], Listener],
        *,
        push_to_talk: bool = False,
        watched: bool = True,
        echo_free: bool = False,
        own_voice: OwnVoice | None = None,
        missing_for_s: float = MISSING_FOR_S,
        patience_s: float = PATIENCE_S,
        deaf: Callable[[], None] = lambda: None,
    ) -> None:
        self._bus = bus
        self._deaf = deaf
        self._source = source
        self._sink = sink
        self._name = name
        self._own_voice = own_voice
        self.mouth = Mouth(bus, name, sink, own_voice=own_voice, missing_for_s=missing_for_s)
        self._turn = OwnTurn(name, self._too_late, patience_s=patience_s)
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
                failed=self._fail,
                hears_itself=lambda: not echo_free and self.mouth.is_sounding,
                calls_itself=own_voice.may_be_heard if own_voice else lambda: False,
            )
        self._states = itertools.count(1)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._sink)
                if self._source is not None:
                    await stack.enter_async_context(self._source)
            except AudioError as error:
                raise EngineFailed(str(error)) from error
            if self._own_voice is not None:
                await stack.enter_async_context(self._own_voice)
            stack.callback(self._turn.close)
            self._bus.fleet.on_change.add(self._fleet_changed)
            stack.callback(self._bus.fleet.on_change.discard, self._fleet_changed)
            tasks = await stack.enter_async_context(background())
            playing = tasks.create_task(self.mouth.play(), name="play")
            stack.callback(playing.cancel)
            if self.ears is not None:
                listening = tasks.create_task(self._listen(self.ears), name="listen")
                stack.callback(listening.cancel)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def turn_over(self) -> TurnEvent:
        """Wait until a turn that began here has ended, and all of its answer has been played."""
        ended = await self._turn.ended()
        await self.mouth.silent.wait()
        return ended

    @handles(waiting=1_000)
    async def speech(self, speech: Speech) -> None:
        """Play a piece when it is its turn."""
        if speech.satellite == self._name:
            self._turn.live(current().turn)
            self.mouth.add(speech)

    @handles
    async def control(self, control: SatelliteControl) -> None:
        """Do what the router says about a turn."""
        turn = current().turn
        if control.satellite != self._name or turn is None:
            return
        match control.action:
            case "finish":
                self.mouth.announce(turn, control.sentences)
                if control.reason:
                    self.mouth.alarm()  # there is no voice that could say so
            case "stop":
                self.mouth.drop(turn, control.reason)
            case "stand_down":
                await self._stand_down(turn)

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
    async def microphone(self, control: MicControl) -> SatelliteState | None:
        """Close or open the microphone."""
        if control.satellite not in {"", self._name} or self.ears is None:
            return None
        is_muted = control.action == "mute"
        await self.ears.mute(muted=is_muted)
        return SatelliteState(
            satellite=self._name,
            state="muted" if is_muted else "idle",
            started_at=self._bus.started_at,
            seq=next(self._states),
        )

    @handles
    async def follow(self, event: TurnEvent) -> None:
        """Know how our turn ended."""
        self._turn.follow(event)

    async def _listen(self, ears: Ears) -> None:
        try:
            await ears.listen()
        except AudioError as error:
            raise EngineFailed(str(error)) from error
        self._deaf()

    async def _stand_down(self, turn: str) -> None:
        """Another satellite answers: be as if nothing had been heard."""
        if self.ears is not None:
            await self.ears.forget(turn)
        self.mouth.drop(turn)
        if turn == self._turn.id:
            self._turn.give_up("")

    def _turn_begun(self, turn: str) -> None:
        """What was being said is cut: somebody has something else in mind."""
        self.mouth.begin(turn)
        self._turn.begin(turn)
        if not self._bus.connected.is_set():
            self._fail(turn, NO_BROKER)
        elif not self._bus.fleet.is_up(Role.ROUTER):
            self._fail(turn, NO_ROUTER)

    def _fleet_changed(self, health: Health) -> None:
        """Without the router nobody ends our turn, nor says more of it."""
        turn = self._turn.id
        if turn is not None and health.service is Role.ROUTER and not self._bus.fleet.is_up(Role.ROUTER):
            self._fail(turn, NO_ROUTER)
            self.mouth.drop(turn)

    def _too_late(self, turn: str) -> None:
        if self.mouth.is_sounding:
            self._turn.live(turn)
        else:
            self._fail(turn, NO_ANSWER)

    def _fail(self, turn: str, error: str) -> None:
        """End our turn here, and be heard doing so."""
        if self._turn.is_running and turn == self._turn.id:
            self.mouth.drop(turn, "error")
            self.mouth.alarm()
            self._turn.give_up(error)
