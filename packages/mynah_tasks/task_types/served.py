"""Task types that a worker, a model or an account must serve: their payloads, and the port it is served through.

The engine never answers for them. Whoever holds the other end of a bus hands over a `Server` for each of them.
"""

from typing import Annotated, Any, Literal, Protocol, TypeVar

from pydantic import Field, JsonValue, model_validator

from mynah_tasks.task_types.sound import Recording, SampleRate
from mynah_tasks.task_types.typed import NotConfigured, Payload, Request, parse

Served_contra = TypeVar("Served_contra", bound=Payload, contravariant=True)


class Server(Protocol[Served_contra]):
    """Answers requests of one type."""

    async def __call__(self, request: Served_contra, /) -> JsonValue:
        """The task's result; raises what the task is to fail with."""


class AudioTranscription(Payload):
    """A recording whose words are wanted."""

    audio_data: Recording
    sample_rate: SampleRate = 44_100
    language: str | None = "en"
    """Two letters; None lets the engine find out."""


class AiResponse(Payload):
    """A question to a language model."""

    prompt: str | None = None
    prompt_template: str | None = None
    """As `prompt`, with {words} that the context fills."""
    context: dict[str, JsonValue] = Field(default_factory=dict)
    """What is known: child_age, emotion, session_id."""
    model: str | None = None
    """The server's own default when left out."""
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 150

    @model_validator(mode="after")
    def _asks_something(self) -> "AiResponse":
        if (self.prompt is None) == (self.prompt_template is None):
            raise ValueError("give either a prompt or a prompt_template")
        return self


class ImageGeneration(Payload):
    """A description of a picture that is wanted."""

    prompt: str = Field(min_length=1, max_length=10_000)
    width: int = Field(default=512, ge=64, le=4096)
    height: int = Field(default=512, ge=64, le=4096)
    style: str | None = None
    image_format: Literal["png", "jpeg", "webp"] = "png"


class Desk:
    """Where tasks of one served type arrive."""

    def __init__(self, model: type[Request], server: Server[Request] | None, missing: str) -> None:
        self._model = model
        self._server: Server[Any] | None = server
        self._missing = missing

    async def process(self, payload: Any) -> Any:
        """The server's answer; raises NotConfigured, saying what is missing, when there is none."""
        request = parse(self._model, payload)
        if self._server is None:
            raise NotConfigured(self._missing)
        return await self._server(request)
