import inspect
import operator

import numpy as np
import pytest

from mynah_tasks.executors import ExecutorKind, Executors
from mynah_tasks.executors.codec import import_name
from mynah_tasks.task import Priority
from mynah_tasks.task_types import (
    PROFILES,
    AiResponse,
    AudioTranscription,
    BadPayload,
    ImageGeneration,
    NotConfigured,
    Payload,
    Services,
    TaskType,
    create_task,
    processors,
    register_all,
    typed,
)

SERVED = {
    TaskType.AUDIO_TRANSCRIPTION: {"audio_data": "AAAA"},
    TaskType.AI_RESPONSE: {"prompt": "Tell me a story"},
    TaskType.IMAGE_GENERATION: {"prompt": "a bear"},
}


@pytest.mark.req("ENG-03")
def test_there_are_eleven_types_and_each_has_a_processor():
    assert len(TaskType) == 11
    assert set(processors(Services())) == set(PROFILES) == set(TaskType)


def test_an_engine_is_taught_all_of_them_and_where_they_run():
    class Engine(dict):
        def register_processor(self, task_type, processor, /, *, kind=None):
            self[task_type] = kind

    engine = Engine()
    register_all(engine)
    assert set(engine) == set(TaskType)
    assert engine["audio_enhancement"] is ExecutorKind.PROCESS
    assert engine["database_operation"] is ExecutorKind.THREAD
    assert engine["custom"] is None


@pytest.mark.req("ENG-03", "FLAW-A9")
@pytest.mark.parametrize(("task_type", "payload"), SERVED.items())
async def test_what_nobody_serves_fails_and_says_what_to_configure(task_type, payload):
    processor = processors(Services())[task_type]
    with pytest.raises(NotConfigured, match=f"{task_type} needs a") as caught:
        await processor(payload)
    assert not caught.value.retryable


@pytest.mark.parametrize("task_type", SERVED)
async def test_a_bad_payload_is_said_to_be_one_even_where_nobody_serves(task_type):
    with pytest.raises(BadPayload):
        await processors(Services())[task_type]({})


@pytest.mark.req("LLM-08")
async def test_an_ai_response_hands_over_exactly_what_was_submitted():
    asked = []

    async def respond(request: AiResponse) -> str:
        asked.append(request)
        return "Once upon a time"

    context = {"child_age": 6, "emotion": "happy", "session_id": "s1"}
    task = create_task("ai_response", {"prompt_template": "A story for {child_age}", "context": context})
    answer = await processors(Services(responder=respond))[TaskType.AI_RESPONSE](task.payload)
    assert answer == "Once upon a time"
    assert asked == [AiResponse(prompt_template="A story for {child_age}", context=context, model=None, max_tokens=150)]
    assert task.timeout == 10


@pytest.mark.parametrize("payload", [{}, {"prompt": "a", "prompt_template": "b"}])
def test_an_ai_response_has_one_prompt(payload):
    with pytest.raises(BadPayload, match="either a prompt or a prompt_template"):
        create_task("ai_response", payload)


@pytest.mark.req("STT-10")
async def test_a_transcription_reaches_its_worker_with_the_defaults_of_old():
    async def transcribe(request: AudioTranscription) -> dict[str, object]:
        return {"rate": request.sample_rate, "language": request.language, "bytes": len(request.audio_data)}

    task = create_task(TaskType.AUDIO_TRANSCRIPTION, {"audio_data": b"\x00\x00"})
    result = await processors(Services(transcriber=transcribe))[TaskType.AUDIO_TRANSCRIPTION](task.payload)
    assert result == {"rate": 44_100, "language": "en", "bytes": 2}
    assert task.timeout == 30


async def test_images_are_painted_by_whoever_can():
    async def paint(request: ImageGeneration) -> str:
        return f"{request.prompt} {request.width}x{request.height}"

    result = await processors(Services(painter=paint))[TaskType.IMAGE_GENERATION]({"prompt": "a bear", "width": 64})
    assert result == "a bear 64x512"


@pytest.mark.req("ENG-15")
async def test_a_custom_task_runs_the_callable_of_its_payload_with_the_payload():
    def double(payload):
        return payload["input"] * 2

    payload = {"processor": double, "input": 21}
    task = create_task("custom", payload, Priority.HIGH)
    assert processors(Services())[TaskType.CUSTOM](task.payload) == 42
    assert (task.durable, task.priority) == (False, Priority.HIGH)


@pytest.mark.req("ENG-15")
async def test_a_custom_task_that_names_its_processor_can_be_stored():
    task = create_task("custom", {"processor": "negate", "input": 21})
    custom = processors(Services(custom={"negate": lambda payload: -payload["input"]}))[TaskType.CUSTOM]
    assert custom(task.payload) == -21
    assert task.durable


async def test_a_custom_coroutine_is_awaited_on_the_loop():
    async def greet(payload):
        return f"hello {payload['name']}"

    async with Executors() as executors:
        result = await executors.run(
            ExecutorKind.INLINE,
            processors(Services())[TaskType.CUSTOM],
            {"processor": greet, "name": "Ada"},
            timeout=60,
        )
    assert result == "hello Ada"


@pytest.mark.parametrize(
    ("payload", "error", "said"),
    [
        ({"processor": "os:system"}, NotConfigured, "no custom processor 'os:system'; registered: none"),
        ({"processor": 3}, BadPayload, "a callable or the name"),
        ({}, BadPayload, "a callable or the name"),
        (None, BadPayload, "a callable or the name"),
    ],
)
def test_a_custom_task_without_a_known_processor_is_refused(payload, error, said):
    with pytest.raises(error, match=said):
        processors(Services())[TaskType.CUSTOM](payload)


@pytest.mark.req("ENG-02", "ENG-09")
@pytest.mark.parametrize(
    ("task_type", "payload", "kind"),
    [
        ("audio_enhancement", {"audio_data": "AAAA"}, ExecutorKind.PROCESS),
        ("emotion_analysis", {"text": "great"}, ExecutorKind.PROCESS),
        ("image_processing", {"image": [[1]]}, ExecutorKind.THREAD),
        ("database_operation", {"database": "lamps", "sql": "select 1"}, ExecutorKind.THREAD),
        ("notification", {"message": "hello"}, ExecutorKind.INLINE),
        ("a type of ones own", {"any": "thing"}, ExecutorKind.INLINE),
    ],
)
def test_a_task_is_made_with_the_habits_of_its_type(task_type, payload, kind):
    task = create_task(task_type, payload, tags={"demo"})
    assert ExecutorKind.for_hints(cpu_intensive=task.cpu_intensive, io_bound=task.io_bound) is kind
    assert task.tags == {"demo"}


def test_options_outweigh_habits():
    task = create_task("text_analysis", {"text": "hello"}, 1, timeout=1.5, cpu_intensive=False)
    assert (task.timeout, task.cpu_intensive, task.priority) == (1.5, False, Priority.CRITICAL)


def test_a_payload_that_does_not_fit_is_refused_when_the_task_is_made():
    with pytest.raises(BadPayload, match=r"TextAnalysis cannot be made of the payload: text: Field required"):
        create_task("text_analysis", {})


@pytest.mark.parametrize(
    ("payload", "durable"), [({"image": [[1]]}, True), ({"image": np.zeros((1, 1), np.uint8)}, False)]
)
def test_what_is_not_json_is_not_durable(payload, durable):
    assert create_task("image_processing", payload).durable is durable


@pytest.mark.req("ENG-09")
@pytest.mark.parametrize("task_type", [task_type for task_type, profile in PROFILES.items() if profile.cpu_intensive])
def test_what_computes_can_travel_to_a_process(task_type):
    assert import_name(processors(Services())[task_type])


@pytest.mark.req("ENG-03", "ENG-09")
async def test_an_analysis_runs_in_another_process_and_comes_back():
    fn = processors(Services())[TaskType.TEXT_ANALYSIS]
    async with Executors(processes=1) as executors:
        result = await executors.run(ExecutorKind.PROCESS, fn, {"text": "I love the kitchen light"}, timeout=60)
    assert (result["words"], result["sentiment"]) == (5, 1.0)


def test_a_typed_function_keeps_its_name_and_takes_json():
    class Pair(Payload):
        left: int
        right: int

    @typed
    def add(pair: Pair):
        """Both together."""
        return operator.add(pair.left, pair.right)

    assert add({"left": 1, "right": "2"}) == 3
    assert add.__doc__ == "Both together."
    assert not inspect.iscoroutinefunction(add)
    with pytest.raises(BadPayload, match="Pair cannot be made of the payload: right: Field required"):
        add({"left": 1})
