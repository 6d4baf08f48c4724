"""The eSpeak NG library, called in-process.

The library keeps one state for the whole process (its voice, its callback), so there is one `Library` a process,
initialised once and never terminated, and one lock around every call.
"""

import ctypes
import functools
import itertools
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tts_worker.engines import Chunk, EngineMissingError, SpeechError

WELL_KNOWN = (
    "libespeak-ng.so.1",
    "libespeak-ng.so",
    "libespeak-ng.1.dylib",
    "/opt/homebrew/lib/libespeak-ng.dylib",
    "libespeak-ng.dll",
)
HOW_TO_INSTALL = "the eSpeak NG library is not installed: apt install espeak-ng"

CHUNK_MS = 50

# Values of speak_lib.h.
SYNCHRONOUS = 2
DONT_EXIT = 0x8000
UTF8 = 1
PAUSE_AT_END = 0x1000
OK = 0
RATE, VOLUME, PITCH = 1, 2, 3

_Heard = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)


class _VoiceRecord(ctypes.Structure):
    """One entry of the library's list of voices."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class VoiceEntry(NamedTuple):
    """A voice as the library lists it."""

    name: str
    identifier: str
    languages: tuple[tuple[int, str], ...]
    """Language tags, each after its rank: the voice of the lowest rank is the one for that language."""


class Manner(NamedTuple):
    """How something is said: the library's own identifier of a voice, words a minute, pitch and loudness."""

    identifier: str
    rate: int
    pitch: int
    volume: int


class Library:
    """The one eSpeak NG of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._c = load(WELL_KNOWN)
        self._heard: list[Chunk] = []
        self._wanted: Callable[[], bool] = bool
        # Kept here for as long as the library may call it.
        self._callback = _Heard(self._hear)
        self.sample_rate: int = self._c.espeak_Initialize(SYNCHRONOUS, CHUNK_MS, None, DONT_EXIT)
        if self.sample_rate <= 0:
            raise EngineMissingError("eSpeak NG does not find its voices: apt install --reinstall espeak-ng-data")
        self._c.espeak_SetSynthCallback(self._callback)
        self.voices = self._list(None)
        self.variants = self._list(b"variant")

    def render(self, text: str, manner: Manner, *, pause: bool, wanted: Callable[[], bool]) -> list[Chunk]:
        """The spoken text; ends early, within one chunk, once `wanted` is false. Raises SpeechError."""
        data = text.encode()
        with self._lock:
            self._heard, self._wanted = [], wanted
            self._take_on(manner)
            flags = UTF8 | (PAUSE_AT_END if pause else 0)
            if self._c.espeak_Synth(data, len(data) + 1, 0, 0, 0, flags, None, None) != OK:
                raise SpeechError("eSpeak NG could not speak this text")
            return self._heard

    def _take_on(self, manner: Manner) -> None:
        if self._c.espeak_SetVoiceByName(manner.identifier.encode()) != OK:
            raise SpeechError(f"eSpeak NG lists the voice {manner.identifier} but cannot load it")
        for parameter, value in ((RATE, manner.rate), (PITCH, manner.pitch), (VOLUME, manner.volume)):
            self._c.espeak_SetParameter(parameter, value, 0)

    def _hear(self, samples: int | None, count: int, _events: int | None) -> int:
        """Take one chunk from the library; 1 makes it stop."""
        if samples and count:
            self._heard.append(np.frombuffer(ctypes.string_at(samples, 2 * count), dtype=np.int16))
        return 0 if self._wanted() else 1

    def _list(self, language: bytes | None) -> tuple[VoiceEntry, ...]:
        asked = ctypes.create_string_buffer(language) if language else None
        query = _VoiceRecord(languages=ctypes.addressof(asked)) if asked else None
        records = self._c.espeak_ListVoices(ctypes.byref(query) if query else None)
        listed = (records[index] for index in itertools.count())
        # The list ends with a null pointer, which is false. Voices under mb/ need a program of their own, MBROLA.
        return tuple(
            VoiceEntry(found.name.decode(), found.identifier.decode(), _languages(found.languages))
            for found in (record.contents for record in itertools.takewhile(bool, listed))
            if not found.identifier.startswith(b"mb/")
        )


@functools.cache
def library() -> Library:
    """The library of this process, initialised on the first call; raises EngineMissingError."""
    return Library()


def load(names: tuple[str, ...]) -> Any:
    """The first of these shared libraries that is installed; raises EngineMissingError."""
    for name in names:
        try:
            return _typed(ctypes.CDLL(name))
        except OSError:
            continue
    raise EngineMissingError(HOW_TO_INSTALL)


def _typed(c: Any) -> Any:
    c.espeak_Initialize.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int)
    c.espeak_SetSynthCallback.argtypes = (_Heard,)
    c.espeak_SetSynthCallback.restype = None
    c.espeak_SetVoiceByName.argtypes = (ctypes.c_char_p,)
    c.espeak_SetParameter.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int)
    c.espeak_ListVoices.argtypes = (ctypes.POINTER(_VoiceRecord),)
    c.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_VoiceRecord))
    c.espeak_Synth.argtypes = (
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint,
        ctypes.c_int,
        ctypes.c_uint,
        ctypes.c_uint,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    return c


def _languages(address: int) -> tuple[tuple[int, str], ...]:
    """Read pairs of a rank byte and a zero-terminated tag, up to a zero rank."""
    found = []
    while rank := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        found.append((rank, tag.decode()))
        address += 2 + len(tag)
    return tuple(found)
