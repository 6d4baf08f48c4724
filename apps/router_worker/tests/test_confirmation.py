"""What cannot be brought back is done after a yes."""

import pytest

from mynah_contracts import (
    PlaybackStatus,
)


async def with_a_timer(home) -> None:
    await home.ask("before", "set a timer for 5 minutes")


async def test_what_cannot_be_brought_back_is_done_after_a_yes(house):
    async with house() as home:
        await with_a_timer(home)

        assert (await home.ask("t1", "cancel all timers")).reply == "Shall I cancel all timers? Say yes to confirm."
        assert "timer" in (await home.ask("t2", "yes please")).reply
        assert (await home.ask("t3", "how much time is left")).reply == "There is no timer."


@pytest.mark.parametrize("words", ["no", "what time is it", "never mind"])
async def test_without_a_yes_it_is_not_done(house, words):
    async with house() as home:
        await with_a_timer(home)
        await home.ask("t1", "cancel all timers")
        await home.ask("t2", words)
        await home.ask("t3", "yes")

        assert "left on the 5 minute timer" in (await home.ask("t4", "how much time is left")).reply


@pytest.mark.req("S08")
async def test_a_yes_that_is_spoken_over_the_question_does_not_count(house):
    async with house(deaf=True) as home:
        await home.wake("t1")
        await home.hear("t1", "clear my shopping list")
        await home.control("finish")
        await home.tell("t1", PlaybackStatus(event="stopped", satellite="kitchen", n=0, heard_ms=900))
        await home.wake("t2", cause="speech")
        await home.hear("t2", "yes")
        await home.reached("t2", "speaking")

        assert home.model.requests[0].text == "yes"


async def test_a_yes_of_another_session_does_not_count(house):
    async with house(rooms=("kitchen", "office")) as home:
        await with_a_timer(home)
        await home.ask("t1", "cancel all timers", "kitchen")
        await home.ask("t2", "yes", "office")

        assert "left on the" in (await home.ask("t3", "how much time is left")).reply


async def test_what_was_typed_was_not_misheard(house):
    async with house() as home:
        await with_a_timer(home)

        assert (await home.write("cancel all timers")).reply == "I canceled 1 timer."
