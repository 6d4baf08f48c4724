"""What tasks can be about: eleven types with their payloads and the processors that do real work."""

from mynah_tasks.task_types.registry import (
    PROFILES,
    Profile,
    Services,
    TaskType,
    create_task,
    processors,
    register_all,
)
from mynah_tasks.task_types.served import AiResponse, AudioTranscription, ImageGeneration, Server
from mynah_tasks.task_types.typed import BadPayload, NotConfigured, Payload, typed

__all__ = [
    "PROFILES",
    "AiResponse",
    "AudioTranscription",
    "BadPayload",
    "ImageGeneration",
    "NotConfigured",
    "Payload",
    "Profile",
    "Server",
    "Services",
    "TaskType",
    "create_task",
    "processors",
    "register_all",
    "typed",
]
