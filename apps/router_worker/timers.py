"""Timers that outlive the worker and the machine, and do not care what is done to the clock."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from sqlite3 import Connection

from router_worker.store import Store, StoreError

log = logging.getLogger(__name__)

MOST = 100
"""Timers at once."""
LONGEST_S = 30 * 24 * 3600
_DRIFT_US = 1_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def this_boot() -> str:
    """What the machine calls the time since it was started; empty if it has no name for it."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Clocks:
    """What time it is, in seconds, and what the steady clock counts from."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    boot: str = ""
    """Steady times of two processes compare if they have the same boot; an empty one compares with none."""


@dataclass(frozen=True)
class Timer:
    """A timer as it is now."""

    id: int
    name: str | None
    seconds: int
    """The length that it was set for."""
    left_s: float
    """How long until it is due; negative: how long ago it was."""
    is_paused: bool = False
    place: str = ""
    """Where it was set, so that it rings there."""


@dataclass(frozen=True)
class _Kept:
    id: int
    name: str | None
    seconds: int
    place: str
    left_us: int | None
    """While paused."""
    due_us: int | None
    """While running, by the monotonic clock."""


class TooManyTimers(ValueError):
    """No more timers can be kept."""


class Timers:
    """The timers of a store. Changes are on the disk when a method returns; all raise StoreError if they cannot be.

    Running timers follow the steady clock. Across a restart of the machine, and only there, they follow the wall
    clock: call `follow_clock` now and then, so that this is right after somebody has set it.
    """

    def __init__(self, store: Store, clocks: Clocks | None = None) -> None:
        self._store = store
        self._clocks = clocks or Clocks(boot=this_boot())
        self._offset_us = self._offset()
        self._timers: dict[int, _Kept] = {}
        self._ringing: dict[int, _Kept] = {}
        self._missed: dict[int, _Kept] = {}
        self._load()

    def all(self) -> tuple[Timer, ...]:
        """Every timer: those that run by what is left of them, then those that are paused."""
        timers = map(self._shown, self._timers.values())
        return tuple(sorted(timers, key=lambda timer: (timer.is_paused, timer.left_s, timer.id)))

    def find(self, name: str | None = None, seconds: int | None = None) -> tuple[Timer, ...]:
        """Those with this name and this length, if given."""
        return tuple(
            timer
            for timer in self.all()
            if (name is None or timer.name == name.casefold()) and (seconds is None or timer.seconds == seconds)
        )

    def start(self, seconds: int, name: str | None = None, place: str = "") -> Timer:
        """A new timer. Raises ValueError unless 1 s to 30 days, and TooManyTimers."""
        if not 1 <= seconds <= LONGEST_S:
            raise ValueError(f"a timer of {seconds} s")
        if len(self._timers) >= MOST:
            raise TooManyTimers(f"there are {MOST} timers already")
        due_us = self._now() + seconds * 1_000_000
        return self._keep(_Kept(0, name.casefold() if name else None, seconds, place, None, due_us))

    def pause(self, timer: int) -> Timer | None:
        """Stop its time; None if there is no such timer."""
        kept = self._timers.get(timer)
        if kept is None:
            return None
        if kept.due_us is None:
            return self._shown(kept)
        return self._keep(replace(kept, left_us=max(kept.due_us - self._now(), 0), due_us=None))

    def resume(self, timer: int) -> Timer | None:
        """Let its time go on; None if there is no such timer."""
        kept = self._timers.get(timer)
        if kept is None:
            return None
        if kept.left_us is None:
            return self._shown(kept)
        return self._keep(replace(kept, left_us=None, due_us=self._now() + kept.left_us))

    def extend(self, timer: int, by_s: int) -> Timer | None:
        """Make it longer, or shorter if negative, but not past its end; None if there is no such timer."""
        kept = self._timers.get(timer)
        if kept is None:
            return None
        left_us = self._left_us(kept) + by_s * 1_000_000
        left_us = min(max(left_us, 0), LONGEST_S * 1_000_000)
        if kept.due_us is None:
            return self._keep(replace(kept, left_us=left_us))
        return self._keep(replace(kept, due_us=self._now() + left_us))

    def cancel(self, *timers: int) -> int:
        """Forget these; how many there were."""
        known = [timer for timer in timers if timer in self._timers]
        self._delete(known)
        for timer in known:
            del self._timers[timer]
        return len(known)

    def next_due(self) -> float | None:
        """Seconds until `due` has something to ring, 0 if it has; None if no timer runs."""
        running = [kept.due_us for kept in self._timers.values() if kept.due_us is not None]
        return max(min(running) - self._now(), 0) / 1e6 if running else None

    def due(self) -> tuple[Timer, ...]:
        """The timers to ring now, the earliest first; unless they are `told`, they are missed."""
        now = self._now()
        ringing = sorted(
            (kept for kept in self._timers.values() if kept.due_us is not None and kept.due_us <= now),
            key=lambda kept: (kept.due_us, kept.id),
        )
        shown = tuple(map(self._shown, ringing))
        for kept in ringing:
            self._ringing[kept.id] = self._timers.pop(kept.id)
        try:
            self._write_all(ringing)
        except StoreError as error:
            log.warning("That a timer rings could not be kept: %s", error)
        return shown

    def missed(self) -> tuple[Timer, ...]:
        """What was due and not heard, to be told now: `left_s` says how long ago."""
        missed = sorted(self._missed.values(), key=self._left_us)
        self._ringing |= self._missed
        self._missed = {}
        return tuple(map(self._shown, missed))

    def untold(self, *timers: int) -> None:
        """Nobody heard these: they are missed, the latest `MOST` of them."""
        self._missed |= {timer: self._ringing.pop(timer) for timer in timers}
        by_age = sorted(self._missed, key=lambda timer: self._left_us(self._missed[timer]))
        for timer in by_age[:-MOST]:
            self._ringing[timer] = self._missed.pop(timer)
        self.told(*by_age[:-MOST])

    def told(self, *timers: int) -> None:
        """Forget these, which were due: they were heard. A disk that refuses may have them told again."""
        for timer in timers:
            del self._ringing[timer]
        try:
            self._delete(list(timers))
        except StoreError as error:
            log.warning("A timer was told that may be told again after a restart: %s", error)

    def follow_clock(self) -> None:
        """Write the due times anew if somebody has set the wall clock; costs nothing if not."""
        if abs(self._offset() - self._offset_us) > _DRIFT_US:
            with self._store.writing() as connection:
                self._write_running(connection)

    def _load(self) -> None:
        with self._store.reading() as connection:
            rows = connection.execute(
                "SELECT id, name, seconds, place, left_us, due_wall_us, due_monotonic_us, boot FROM timer"
            ).fetchall()
        loaded = []
        for timer, name, seconds, place, left_us, wall_us, monotonic_us, boot in rows:
            kept = _Kept(timer, name, seconds, place, left_us, None)
            if wall_us is not None:
                is_same_boot = bool(boot) and boot == self._clocks.boot
                due_us = monotonic_us if is_same_boot else wall_us - self._offset_us
                # A machine without a battery starts in the past: no timer has more left than it had.
                kept = replace(kept, left_us=None, due_us=min(due_us, self._now() + left_us))
            loaded.append(kept)
        late = [kept for kept in loaded if self._left_us(kept) <= 0 and kept.due_us is not None]
        self._missed = {kept.id: kept for kept in late}
        self._timers = {kept.id: kept for kept in loaded if kept not in late}
        with self._store.writing() as connection:
            for kept in late:
                self._write(connection, kept)
            self._write_running(connection)

    def _keep(self, kept: _Kept) -> Timer:
        with self._store.writing() as connection:
            if kept.id == 0:
                row = connection.execute(
                    "INSERT INTO timer (name, seconds, left_us, boot, place) VALUES (?, ?, 0, '', ?)",
                    (kept.name, kept.seconds, kept.place),
                )
                kept = replace(kept, id=int(row.lastrowid or 0))
            self._write(connection, kept)
        self._timers[kept.id] = kept
        return self._shown(kept)

    def _write_all(self, timers: list[_Kept]) -> None:
        if timers:
            with self._store.writing() as connection:
                for kept in timers:
                    self._write(connection, kept)

    def _write(self, connection: Connection, kept: _Kept) -> None:
        wall_us = None if kept.due_us is None else kept.due_us + self._offset()
        connection.execute(
            "UPDATE timer SET left_us = ?, due_wall_us = ?, due_monotonic_us = ?, boot = ? WHERE id = ?",
            (self._left_us(kept), wall_us, kept.due_us, self._clocks.boot, kept.id),
        )

    def _write_running(self, connection: Connection) -> None:
        for kept in self._timers.values():
            if kept.due_us is not None:
                self._write(connection, kept)
        self._offset_us = self._offset()

    def _delete(self, timers: list[int]) -> None:
        if timers:
            with self._store.writing() as connection:
                connection.executemany("DELETE FROM timer WHERE id = ?", [(timer,) for timer in timers])

    def _shown(self, kept: _Kept) -> Timer:
        return Timer(kept.id, kept.name, kept.seconds, self._left_us(kept) / 1e6, kept.due_us is None, kept.place)

    def _left_us(self, kept: _Kept) -> int:
        return kept.due_us - self._now() if kept.due_us is not None else kept.left_us or 0

    def _now(self) -> int:
        return round(self._clocks.monotonic() * 1e6)

    def _offset(self) -> int:
        return round(self._clocks.wall() * 1e6) - self._now()
