"""Every message between workers: payload, topic, delivery, who may send it and who hears it."""

from mynah_contracts.envelope import HEADER, Envelope
from mynah_contracts.llm import ChatMessage, LlmCancel, LlmDelta, LlmRequest, LlmResponse
from mynah_contracts.memory import (
    Character,
    CharacterGet,
    CharacterResult,
    CharacterUpdate,
    MemoryChanged,
    MemoryForget,
    MemoryQuery,
    MemoryResults,
    MemoryStore,
    Remembered,
)
from mynah_contracts.message import CATALOGUE, Command, Contract, Event, Frame, Kind, Message, Name, State, Stream
from mynah_contracts.roles import OBSERVERS, WORKERS, Role
from mynah_contracts.satellite import SatelliteControl, SatelliteState
from mynah_contracts.stt import AudioLevels, PartialTranscript, Transcribe, TranscribePart, Transcript, Vocabulary
from mynah_contracts.system import Accepted, Failed, Health
from mynah_contracts.tts import (
    PlaybackControl,
    PlaybackStatus,
    Said,
    Say,
    Speech,
    SpokenRecording,
    Synthesize,
)
from mynah_contracts.turn import Answer, Ask, Step, TurnEvent
from mynah_contracts.wake import MicControl, WakeEvent

__all__ = [
    "CATALOGUE",
    "HEADER",
    "OBSERVERS",
    "WORKERS",
    "Accepted",
    "Answer",
    "Ask",
    "AudioLevels",
    "Character",
    "CharacterGet",
    "CharacterResult",
    "CharacterUpdate",
    "ChatMessage",
    "Command",
    "Contract",
    "Envelope",
    "Event",
    "Failed",
    "Frame",
    "Health",
    "Kind",
    "LlmCancel",
    "LlmDelta",
    "LlmRequest",
    "LlmResponse",
    "MemoryChanged",
    "MemoryForget",
    "MemoryQuery",
    "MemoryResults",
    "MemoryStore",
    "Message",
    "MicControl",
    "Name",
    "PartialTranscript",
    "PlaybackControl",
    "PlaybackStatus",
    "Remembered",
    "Role",
    "Said",
    "SatelliteControl",
    "SatelliteState",
    "Say",
    "Speech",
    "SpokenRecording",
    "State",
    "Step",
    "Stream",
    "Synthesize",
    "Transcribe",
    "TranscribePart",
    "Transcript",
    "TurnEvent",
    "Vocabulary",
    "WakeEvent",
]
