"""What is wrong with a part is said when its worker is made."""

from collections.abc import AsyncIterator

import pytest

from mynah_bus import handles, produces
from mynah_bus.handlers import handlers_of, producers_of
from mynah_contracts import LlmDelta, LlmRequest, LlmResponse, MemoryQuery, MemoryResults, Role, Say, Transcript


class Many:
    @handles(at_once=3, waiting=7)
    async def recall(self, query: MemoryQuery) -> MemoryResults | None: ...

    @handles
    def store(self, query: MemoryQuery) -> MemoryResults: ...

    async def not_a_handler(self, query: MemoryQuery) -> MemoryResults: ...


def test_a_signature_says_what_is_heard_and_said() -> None:
    recall, store = handlers_of(Many(), Role.MEMORY)
    assert (recall.name, recall.hears, recall.says) == ("Many.recall", MemoryQuery, (MemoryResults,))
    assert (recall.limits.at_once, recall.limits.waiting) == (3, 7)
    assert (recall.threaded, recall.yields) == (False, False)
    assert (store.threaded, store.limits.at_once) == (True, 1)


class Teller:
    @handles
    async def tell(self, request: LlmRequest) -> AsyncIterator[LlmDelta | LlmResponse]:
        yield LlmResponse(reply="")


def test_a_generator_says_each_of_its_types() -> None:
    (tell,) = handlers_of(Teller(), Role.LLM)
    assert tell.yields
    assert tell.says == (LlmDelta, LlmResponse)


class Eavesdropper:
    @handles
    async def hear(self, query: LlmRequest) -> None: ...


class Impostor:
    @handles
    async def hear(self, query: MemoryQuery) -> Transcript: ...


class TwoAtOnce:
    @handles
    async def hear(self, query: MemoryQuery, other: Say) -> None: ...


class Stranger:
    @handles
    async def hear(self, text: str) -> None: ...


class Wordy:
    @handles
    async def hear(self, query: MemoryQuery) -> str: ...


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (Eavesdropper(), "memory handles LlmRequest, which is not for it"),
        (Impostor(), "Transcript is not for memory to send"),
        (TwoAtOnce(), r"TwoAtOnce\.hear must take one message"),
        (Stranger(), r"Stranger\.hear must take one message"),
        (Wordy(), r"Wordy\.hear must return messages"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_the_role_or_the_contracts_is_a_type_error(part: object, sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        handlers_of(part, Role.MEMORY)


class Ticking:
    @produces
    async def tick(self) -> AsyncIterator[LlmDelta]:
        yield LlmDelta(delta="")


class NoGenerator:
    @produces
    async def tick(self) -> LlmDelta: ...


def test_a_producer_is_an_async_generator_of_what_its_role_may_say() -> None:
    (tick,) = producers_of(Ticking(), Role.LLM)
    assert tick.says == (LlmDelta,)
    with pytest.raises(TypeError, match=r"NoGenerator\.tick must be an async generator"):
        producers_of(NoGenerator(), Role.LLM)
    with pytest.raises(TypeError, match="LlmDelta is not for tts to send"):
        producers_of(Ticking(), Role.TTS)
