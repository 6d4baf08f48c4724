"""The conversation as people follow it: who said what, what was answered, and where the time went."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.text import Text

from mynah.visitor import is_resident, is_visitor
from mynah.waterfall import duration, waterfall
from mynah_bus import Received
from mynah_contracts import (
    Character,
    Failed,
    Health,
    Message,
    PartialTranscript,
    PlaybackStatus,
    Role,
    Say,
    Step,
    Transcript,
    TurnEvent,
    WakeEvent,
)

FOLLOWED: Final = (
    Character,
    WakeEvent,
    PartialTranscript,
    Transcript,
    Say,
    PlaybackStatus,
    TurnEvent,
    Failed,
    Health,
)
OVER: Final = frozenset({"done", "cancelled", "failed"})
WHO: Final = 12
"""Columns for who speaks."""
ROOM_FOR_TIME: Final = 60
"""Narrower terminals are not told the time."""
NARROWEST: Final = 12
AT_ONCE: Final = 8
"""Turns that are shown while they go on; of more, the oldest is left out."""
ABOUT: Final = "dim"
IN_WRITING: Final = "in writing"
RECORDING: Final = "recording"


@dataclass(slots=True)
class Exchange:
    """A turn as far as it was seen."""

    when: str
    place: str
    asked: str = ""
    is_certain: bool = False
    """Whether what was asked has been said to its end."""
    said: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    phase: str = ""
    remarks: list[Text] = field(default_factory=list)

    def hear(self, message: Message) -> None:
        """Something that belongs to it was said."""
        match message:
            case PartialTranscript() if not self.is_certain:
                self.asked = message.text
            case Transcript():
                self.asked, self.is_certain = message.text, True
            case Say():
                self.said.append(message.text)
            case PlaybackStatus(event="stopped"):
                why = f": {message.reason}" if message.reason else ""
                self.remarks.append(Text(f"stopped after {duration(message.heard_ms)}{why}", "yellow"))


class View:
    """Turns messages into what is printed for good, and keeps in mind what goes on now.

    `clock` gives the time of day, as it is shown; `fleet` is who is there already.
    """

    def __init__(self, console: Console, clock: Callable[[], str], fleet: Iterable[Health] = ()) -> None:
        self._console = console
        self._clock = clock
        self._assistant = "Mynah"
        self._running: dict[str, Exchange] = {}
        self._fleet = {_name(health): health.status for health in fleet}

    def hear(self, received: Received) -> Iterator[Text]:
        """What a message adds for good: nothing, a line, or a turn that has ended."""
        message = received.message
        turn = self._running.get(received.envelope.turn or "")
        match message:
            case Character():
                self._assistant = message.name
            case Health():
                yield from self._health(message)
            case TurnEvent():
                yield from self._turn(message)
            case Failed() | WakeEvent(type="error"):
                yield self._problem(message, received.envelope.source)
            case Say() if turn is None:
                where = Text.assemble((message.text, "green"), (f"  at {message.satellite}", ABOUT))
                yield self._line(self._assistant, where)
            case _ if turn is not None:
                turn.hear(message)

    def now(self) -> Text:
        """The turns that go on, as far as they have come."""
        return Text("\n").join(
            self._block(turn, [*waterfall(turn.steps, sum(step.ms for step in turn.steps), self._room)][:-1])
            for turn in self._running.values()
        )

    def lost(self) -> Text:
        """The connection was away: what was said meanwhile is not known, nor which turns have ended."""
        self._running.clear()
        return Text("The connection to the broker was lost and is back.\n", "yellow")

    def told(self, asked: str, reply: str, steps: Sequence[Step], total_ms: float) -> Text:
        """A recorded question that was answered, of which nothing else is known."""
        turn = Exchange(self._clock(), RECORDING, asked, is_certain=True, said=[reply])
        return self._block(turn, waterfall(steps, total_ms, self._room))

    # -- what messages mean

    def _turn(self, event: TurnEvent) -> Iterator[Text]:
        turn = self._running.get(event.turn_id)
        if turn is None:
            turn = self._running[event.turn_id] = Exchange(self._clock(), _place(event.satellite))
            if len(self._running) > AT_ONCE:
                del self._running[next(iter(self._running))]
        if event.phase in OVER:
            del self._running[event.turn_id]
            yield self._ended(turn, event)
            return
        if event.step:
            turn.steps.append(Step(name=event.step, ms=event.ms))
        turn.phase = event.phase
        if event.transcript:
            turn.asked, turn.is_certain = event.transcript, True

    def _ended(self, turn: Exchange, event: TurnEvent) -> Text:
        turn.phase = ""
        turn.asked = event.transcript
        turn.is_certain = True
        turn.said = [event.reply] if event.reply else []
        if event.error:
            turn.remarks.append(Text(event.error, "red"))
        elif event.phase == "cancelled":
            turn.remarks.append(Text("cancelled" if event.transcript else "nothing was heard", "yellow"))
        return self._block(turn, waterfall(event.steps, event.total_ms, self._room))

    def _health(self, health: Health) -> Iterator[Text]:
        before = self._fleet.get(_name(health))
        if not is_resident(health) or health.status in {before, "starting"}:
            return
        self._fleet[_name(health)] = health.status
        if before is None and health.status == "down":
            return
        colour = {"up": "green", "degraded": "yellow", "down": "red"}[health.status]
        reason = f": {health.reason}" if health.reason else ""
        yield self._line(_name(health), Text(f"is {health.status}{reason}", colour))
        if health.service is Role.ROUTER and health.status == "down":
            for turn in self._running.values():
                turn.phase = ""
                turn.remarks.append(Text("cut off: the router went away", "red"))
                yield self._block(turn, ())
            self._running.clear()

    def _problem(self, message: Failed | WakeEvent, source: str) -> Text:
        if isinstance(message, WakeEvent):
            return self._line(_place(message.satellite), Text(message.cause, "red"))
        about = f" ({', '.join(filter(None, (message.code, message.about)))})"
        return self._line(source, Text.assemble((message.message, "red"), (about, ABOUT)))

    # -- how it looks

    @property
    def _room(self) -> int:
        """Columns beside who and when."""
        return max(NARROWEST, self._console.width - self._margin)

    @property
    def _margin(self) -> int:
        return WHO + (10 if self._console.width >= ROOM_FOR_TIME else 0)

    def _block(self, turn: Exchange, steps: Iterable[Text]) -> Text:
        lines: list[tuple[str, str, Text]] = []
        if turn.asked or turn.phase:
            style = "bold" if turn.is_certain else ABOUT
            lines.append((turn.place, "bold cyan", Text(turn.asked or "…", style)))
        if turn.said:
            lines.append((self._assistant, "bold green", Text(" ".join(turn.said), "green")))
        lines += [("", "", remark) for remark in turn.remarks]
        lines += [("", "", step) for step in steps]
        if turn.phase:
            lines.append(("", "", Text(f"{turn.phase} …", ABOUT)))
        shown = [
            self._beside(turn.when if number == 0 else "", who, style, words)
            for number, (who, style, words) in enumerate(lines)
        ]
        return Text("\n").join([*shown, Text()])

    def _line(self, who: str, words: Text) -> Text:
        return self._beside(self._clock(), who, ABOUT, words)

    def _beside(self, when: str, who: str, style: str, words: Text) -> Text:
        """Words that keep to their column, however many lines they need."""
        time = Text(f"{when:<10}" if self._margin > WHO else "", ABOUT)
        name = Text(who, style)
        name.truncate(WHO - 1, overflow="ellipsis", pad=True)
        wrapped = words.wrap(self._console, self._room)
        for line in wrapped:
            line.rstrip()
        body = Text("\n" + " " * self._margin).join(wrapped)
        return Text.assemble(time, name, " ", body)


def _place(satellite: str) -> str:
    """Where somebody speaks, in words."""
    if not satellite:
        return IN_WRITING
    return RECORDING if is_visitor(satellite) else satellite


def _name(health: Health) -> str:
    return f"{health.service.value}/{health.instance}"
