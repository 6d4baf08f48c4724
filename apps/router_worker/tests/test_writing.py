"""What was said before, and what is asked in writing."""

import asyncio

import pytest

from mynah_bus import RequestFailed, conversation
from mynah_bus.wire import decode
from mynah_contracts import (
    Ask,
    Health,
    MemoryStore,
    Role,
    Vocabulary,
)

TIME = "what time is it"
STORY = "tell me a story about penguins"


# -- the conversation


async def test_repeat_that_says_the_last_answer_of_the_same_session(house, model):
    async with house(rooms=("kitchen", "office")) as home:
        await home.ask("t1", STORY, "kitchen")

        assert (await home.ask("t2", "repeat that", "kitchen")).reply == "This is an answer."
        assert (await home.ask("t3", "repeat that", "office")).reply == "I have not said anything yet."


async def test_sessions_do_not_mix(house):
    async with house() as home:
        await home.write("my secret is blue", session="anna")
        await home.write("my secret is red", session="ben")
        await home.write("what is it", session="anna")

        assert [message.content for message in home.model.requests[2].history] == [
            "my secret is blue",
            "This is an answer.",
        ]


async def test_people_without_a_session_do_not_share_one(house):
    async with house() as home:
        guest, skill = await home.stage.bus(Role.GUEST), await home.stage.bus(Role.SKILL)
        await guest.request(Ask(text="my secret is blue"))
        await skill.request(Ask(text="what is it"))

        assert home.model.requests[1].history == []


# -- in writing


async def test_a_hundred_questions_in_writing_are_answered_at_once(house):
    async with house() as home:
        texts = [TIME if number % 2 else f"what is number {number}" for number in range(100)]

        answers = await asyncio.gather(*(home.write(text, session=f"s{n}") for n, text in enumerate(texts)))

        assert all(answer.reply for answer in answers)
        assert len({answer.turn_id for answer in answers}) == 100


async def test_what_is_asked_in_writing_is_answered_as_it_was_written(house, model):
    written = "Set **MYNAH_LLM_BASE_URL**, see https://example.org/a/b?c=d:\n\n```sh\nexport A_B=1\n```\n\n- done"
    deltas = ("\n", *(written[at : at + 3] for at in range(0, len(written), 3)), "\n")
    async with house(model=model(deltas=deltas, lost=frozenset({4}))) as home:
        answer = await home.write(STORY, session="desk")
        await home.write(STORY, session="desk")

        assert answer.reply == written
        assert home.model.requests[1].history[1].content == written


async def test_an_answer_in_writing_has_its_steps(house):
    async with house() as home:
        answer = await home.write(TIME)

        assert answer.intent == "GetTime"
        assert sum(step.ms for step in answer.steps) == pytest.approx(answer.ms, rel=1e-6)
        assert home.said() == []


async def test_a_question_in_writing_and_its_answer_are_remembered_as_spoken_ones_are(house):
    async with house() as home:
        with conversation(session="desk"):
            answer = await home.stage.ask(Ask(text="remember that my keys are in the hall", user="anna"))

        question, reply = home.sent(MemoryStore)
        assert [turn for turn, _ in (question, reply)] == [answer.turn_id] * 2
        assert question[1] == MemoryStore(text="remember that my keys are in the hall", speaker="user", user="anna")
        assert reply[1] == MemoryStore(text=answer.reply, speaker="assistant", user="anna")


async def test_what_was_asked_aloud_is_left_to_the_memory_to_hear(house):
    async with house() as home:
        await home.ask("t", TIME)
        assert home.sent(MemoryStore) == []


async def test_silence_is_an_answer_too(house):
    async with house() as home:
        assert (await home.write("stop")).reply == ""


async def test_a_question_in_writing_that_fails_says_why(house):
    async with house(without=(Role.LLM,)) as home:
        with pytest.raises(RequestFailed, match="No llm worker is running"):
            await home.write(STORY)


async def test_a_question_in_writing_cannot_take_the_turn_of_somebody_who_speaks(house):
    async with house() as home:
        await home.wake("t")
        answer = await home.write(TIME, turn="t")
        assert answer.turn_id != "t"
        await home.hear("t", TIME)

        assert (await home.ended("t")).phase == "done"


async def test_recognisers_are_told_what_can_be_understood_before_the_router_is_up(house):
    async with house() as home:
        (_, vocabulary), *_ = home.sent(Vocabulary)
        assert "GetTime" in vocabulary.intents["intents"]

        told = [packet.topic for packet in home.stage.broker.published].index("mynah/stt/vocabulary")
        before = [
            decode(packet, Health).message
            for packet in home.stage.broker.published[:told]
            if packet.topic.startswith("mynah/system/health/router")
        ]
        assert "up" not in {health.status for health in before}
