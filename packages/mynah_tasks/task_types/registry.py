"""The eleven task types: what each is given, who works on it, and how it likes to run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import orjson

from mynah_tasks.executors import ExecutorKind
from mynah_tasks.task import Priority, Task
from mynah_tasks.task_types import analytics, audio, emotion, image, text
from mynah_tasks.task_types.custom import CustomTasks
from mynah_tasks.task_types.database import Database, DatabaseOperation, Databases
from mynah_tasks.task_types.notification import Notification, Notifications, Sender
from mynah_tasks.task_types.served import AiResponse, AudioTranscription, Desk, ImageGeneration, Server
from mynah_tasks.task_types.typed import Payload, parse


class TaskType(StrEnum):
    """What every engine can be asked for."""

    AUDIO_TRANSCRIPTION = "audio_transcription"
    AUDIO_ENHANCEMENT = "audio_enhancement"
    AI_RESPONSE = "ai_response"
    EMOTION_ANALYSIS = "emotion_analysis"
    IMAGE_GENERATION = "image_generation"
    IMAGE_PROCESSING = "image_processing"
    TEXT_ANALYSIS = "text_analysis"
    DATA_ANALYTICS = "data_analytics"
    DATABASE_OPERATION = "database_operation"
    NOTIFICATION = "notification"
    CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Profile:
    """How tasks of a type are made when nothing else is said."""

    payload: type[Payload] | None = None
    """None: anything."""
    timeout: float | None = None
    """Seconds."""
    cpu_intensive: bool = False
    io_bound: bool = False

    @property
    def kind(self) -> ExecutorKind | None:
        """Where its processor belongs; None leaves it to each task's hints."""
        kind = ExecutorKind.for_hints(cpu_intensive=self.cpu_intensive, io_bound=self.io_bound)
        return None if kind is ExecutorKind.INLINE else kind


PROFILES: Mapping[TaskType, Profile] = {
    TaskType.AUDIO_TRANSCRIPTION: Profile(AudioTranscription, timeout=30),
    TaskType.AUDIO_ENHANCEMENT: Profile(audio.AudioEnhancement, timeout=60, cpu_intensive=True),
    TaskType.AI_RESPONSE: Profile(AiResponse, timeout=10),
    TaskType.EMOTION_ANALYSIS: Profile(emotion.EmotionAnalysis, timeout=30, cpu_intensive=True),
    TaskType.IMAGE_GENERATION: Profile(ImageGeneration, timeout=120),
    TaskType.IMAGE_PROCESSING: Profile(image.ImageProcessing, timeout=60, io_bound=True),
    TaskType.TEXT_ANALYSIS: Profile(text.TextAnalysis, timeout=30, cpu_intensive=True),
    TaskType.DATA_ANALYTICS: Profile(analytics.DataAnalytics, timeout=60, cpu_intensive=True),
    TaskType.DATABASE_OPERATION: Profile(DatabaseOperation, timeout=60, io_bound=True),
    TaskType.NOTIFICATION: Profile(Notification, timeout=30),
    TaskType.CUSTOM: Profile(),
}


@dataclass(frozen=True, slots=True)
class Services:
    """What task types need from outside; what is left out fails with a sentence that says how to provide it."""

    databases: Mapping[str, Database] = field(default_factory=dict)
    channels: Mapping[str, Sender] = field(default_factory=dict)
    custom: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    transcriber: Server[AudioTranscription] | None = None
    responder: Server[AiResponse] | None = None
    painter: Server[ImageGeneration] | None = None


class Registrar(Protocol):
    """Whoever takes processors: an engine."""

    def register_processor(
        self, task_type: str, processor: Callable[[Any], Any], /, *, kind: ExecutorKind | None = None
    ) -> None:
        """Work on this type with it from now on, where `kind` or else a task's hints say."""


def register_all(engine: Registrar, services: Services | None = None) -> None:
    """Teach an engine all eleven types; each can be replaced afterwards."""
    for task_type, processor in processors(services or Services()).items():
        engine.register_processor(task_type, processor, kind=PROFILES[task_type].kind)


def processors(services: Services) -> dict[TaskType, Callable[[Any], Any]]:
    """Who works on which type."""
    transcription = Desk(
        AudioTranscription,
        services.transcriber,
        "audio_transcription needs a speech-to-text worker: start one (mynah run stt) and connect this engine to it",
    )
    response = Desk(
        AiResponse,
        services.responder,
        "ai_response needs a language model worker: start one (mynah run llm; MYNAH_LLM_BASE_URL says where its model"
        " is) and connect this engine to it",
    )
    generation = Desk(
        ImageGeneration,
        services.painter,
        "image_generation needs an image model, and none is part of Mynah: give Services a painter that calls yours",
    )
    return {
        TaskType.AUDIO_TRANSCRIPTION: transcription.process,
        TaskType.AUDIO_ENHANCEMENT: audio.enhance,
        TaskType.AI_RESPONSE: response.process,
        TaskType.EMOTION_ANALYSIS: emotion.analyse,
        TaskType.IMAGE_GENERATION: generation.process,
        TaskType.IMAGE_PROCESSING: image.process,
        TaskType.TEXT_ANALYSIS: text.analyse,
        TaskType.DATA_ANALYTICS: analytics.analyse,
        TaskType.DATABASE_OPERATION: Databases(services.databases).process,
        TaskType.NOTIFICATION: Notifications(services.channels).process,
        TaskType.CUSTOM: CustomTasks(services.custom).process,
    }


def create_task(
    task_type: str, payload: Any = None, priority: Priority | int = Priority.NORMAL, **options: Any
) -> Task:
    """A task with the habits of its type, its payload checked now rather than when it runs.

    The options are the fields of Task. What is not JSON cannot outlive the process, so that `durable` becomes false.

    Raises:
        BadPayload: the payload does not fit one of the eleven types; other types take anything.
    """
    profile = PROFILES[TaskType(task_type)] if task_type in PROFILES else Profile()
    if profile.payload is not None:
        parse(profile.payload, payload)
    habits = {
        "timeout": profile.timeout,
        "cpu_intensive": profile.cpu_intensive,
        "io_bound": profile.io_bound,
        "durable": _is_json(payload),
    }
    return Task(str(task_type), payload, Priority(priority), **(habits | options))


def _is_json(payload: Any) -> bool:
    try:
        orjson.dumps(payload)
    except TypeError:
        return False
    return True
