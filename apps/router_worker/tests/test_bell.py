import asyncio

import pytest

from mynah_bus import ModelThread, Worker
from mynah_contracts import Ask, PlaybackControl, PlaybackStatus, Role, Say, TurnEvent
from router_worker.answers.confirmation import Confirmations, is_no, is_yes
from router_worker.bell import Bell
from router_worker.intents import Intent
from router_worker.tasks import Tasks
from router_worker.timers import Clocks, Timers


class Watch:
    """Clocks that a test sets."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.clocks = Clocks(wall=lambda: self.now + 1e9, monotonic=lambda: self.now, boot="one")


async def nudge(home) -> None:
    """Any intent has the timers looked at."""
    await home.stage.ask(Ask(text="what day is it"), role=Role.GUEST)


async def rings(home) -> list[tuple[str, str]]:
    say = await home.stage.next(Say)
    while "is done" not in say.text and "While I was away" not in say.text:
        say = await home.stage.next(Say)
    return say.satellite, say.text


async def test_a_timer_rings_at_the_satellite_where_it_was_set(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        await home.ask("t", "set a timer for 5 minutes", "office")
        watch.now += 299
        await nudge(home)
        watch.now += 1
        await nudge(home)

        assert await rings(home) == ("office", "Your 5 minute timer is done.")


async def test_a_timer_of_a_satellite_that_is_gone_rings_at_the_default_one(house):
    watch = Watch()
    async with house(clocks=watch.clocks) as home:
        async with home.room("attic"):
            await home.ask("t", "set a timer for 5 minutes", "attic")
        watch.now += 300
        await nudge(home)

        assert await rings(home) == ("kitchen", "Your 5 minute timer is done.")


async def test_a_timer_that_was_set_in_writing_rings_at_the_default_satellite(house):
    watch = Watch()
    async with house(clocks=watch.clocks) as home:
        await home.stage.ask(Ask(text="set a pizza timer for 5 minutes"), role=Role.GUEST)
        watch.now += 300
        await nudge(home)

        assert await rings(home) == ("kitchen", "Your pizza timer is done.")


async def test_a_timer_outlives_the_router(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        await home.ask("t", "set a timer for 5 minutes", "office")
    watch.now += 100
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        watch.now += 200
        await nudge(home)

        assert await rings(home) == ("office", "Your 5 minute timer is done.")


async def test_timers_that_were_due_while_nobody_was_there_are_told_at_their_places_once(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        await home.ask("t1", "set a timer for 5 minutes", "office")
        await home.ask("t2", "set a pizza timer for 6 minutes", "kitchen")
    watch.now += 600
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        told = {await rings(home), await rings(home)}
        assert told == {
            ("office", "While I was away, your 5 minute timer was done 5 minutes ago."),
            ("kitchen", "While I was away, your pizza timer was done 4 minutes ago."),
        }
        for turn in {turn for turn, _ in home.sent(Say)}:
            await home.ended(turn)
        await nudge(home)
    async with house(clocks=watch.clocks, rooms=("kitchen", "office")) as home:
        await home.ask("t3", "what time is it")
        assert len(home.sent(Say)) == 1


async def test_a_timer_whose_announcement_was_not_heard_to_its_end_is_told_as_missed(house):
    watch = Watch()
    async with house(clocks=watch.clocks, deaf=True) as home:
        await home.stage.ask(Ask(text="set a timer for 5 minutes"), role=Role.GUEST)
        watch.now += 300
        await nudge(home)
        assert await rings(home) == ("kitchen", "Your 5 minute timer is done.")
    watch.now += 60
    async with house(clocks=watch.clocks, deaf=True) as home:
        assert await rings(home) == ("kitchen", "While I was away, your 5 minute timer was done 1 minute ago.")
    watch.now += 60
    async with house(clocks=watch.clocks) as home:
        assert await rings(home) == ("kitchen", "While I was away, your 5 minute timer was done 2 minutes ago.")


async def test_a_timer_that_nobody_was_there_to_hear_is_told_once_somebody_comes(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=()) as home:
        await home.write("set a timer for 5 minutes")
        watch.now += 300
        await nudge(home)
        rang = await home.stage.received(TurnEvent)
        while "is done" not in rang.message.reply:
            rang = await home.stage.received(TurnEvent)
        watch.now += 60
        assert home.said() == []

        async with home.room("kitchen"):
            assert await rings(home) == ("kitchen", "While I was away, your 5 minute timer was done 1 minute ago.")
            await home.control("finish")
        async with home.room("kitchen"):
            await home.ask("t", "what time is it")
            assert len(home.said()) == 2


async def test_a_timer_whose_place_is_gone_rings_where_somebody_is(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=()) as home:
        async with home.room("office"):
            await home.ask("t", "set a timer for 5 minutes", "office")
        async with home.room("attic"):
            watch.now += 300
            await nudge(home)
            assert await rings(home) == ("attic", "Your 5 minute timer is done.")


async def test_a_timer_that_rang_without_a_voice_is_told_once_there_is_one(house, voice):
    watch = Watch()
    async with house(clocks=watch.clocks, without=(Role.TTS,)) as home:
        await home.write("set a timer for 5 minutes")
        watch.now += 300
        await nudge(home)
        assert "no voice" in (await home.control("finish")).reason
        assert await rings(home) == ("kitchen", "Your 5 minute timer is done.")
        watch.now += 60

        async with home.worker(Worker(Role.TTS, voice)):
            assert await rings(home) == ("kitchen", "While I was away, your 5 minute timer was done 1 minute ago.")


async def test_a_timer_whose_satellite_went_away_in_the_middle_is_told_when_it_is_back(house):
    watch = Watch()
    async with house(clocks=watch.clocks, rooms=()) as home:
        async with home.room("kitchen", deaf=True):
            await home.write("set a timer for 5 minutes")
            watch.now += 300
            await nudge(home)
            ring = await home.stage.received(Say)
        await home.ended(ring.envelope.turn)

        async with home.room("kitchen"):
            assert await rings(home) == ("kitchen", "While I was away, your 5 minute timer was done 1 second ago.")


async def test_who_comes_while_a_timer_is_told_in_vain_is_told_it_too(store):
    watch = Watch()
    timers = Timers(store, watch.clocks)
    timers.start(5, "tea")
    watch.now += 5
    said = []
    heard = asyncio.Event()

    async def announce(text: str, place: str) -> bool:
        said.append(text)
        if len(said) > 1:
            heard.set()
            return True
        bell.somebody_came()
        for _ in range(2):
            await thread(int)  # whoever came has been told what was missed by then
        return False

    async with asyncio.timeout(10), ModelThread("timers") as thread, Tasks() as tasks:
        bell = Bell(timers, thread, asyncio.Event(), announce, tasks)
        tasks.start(bell.tell_missed(), "missed")
        tasks.start(bell.ring(), "ring")
        await heard.wait()
    assert said == ["Your tea timer is done.", "While I was away, your tea timer was done 1 second ago."]


async def test_while_nobody_comes_who_can_speak_what_is_untold_is_not_tried_again(house):
    watch = Watch()
    async with house(clocks=watch.clocks, without=(Role.TTS,)) as home:
        await home.write("set a timer for 5 minutes")
        watch.now += 300
        await nudge(home)
        await home.control("finish")

        async with home.room("office"):
            await home.ask("t", "what time is it")

        assert not any("timer was done" in event.reply for _, event in home.sent(TurnEvent))


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_a_timer_whose_announcement_was_heard_or_stopped_is_not_told_again(house, is_stopped):
    watch = Watch()
    async with house(clocks=watch.clocks, deaf=is_stopped) as home:
        await home.stage.ask(Ask(text="set a timer for 5 minutes"), role=Role.GUEST)
        watch.now += 300
        await nudge(home)
        ring = await home.stage.received(Say)
        if is_stopped:
            await home.tell(None, PlaybackControl(action="stop", satellite="kitchen"))
        await home.ended(ring.envelope.turn)
        await nudge(home)
    async with house(clocks=watch.clocks) as home:
        await home.ask("t", "what time is it")
        assert len(home.sent(Say)) == 1


async def test_an_announcement_that_has_not_begun_survives_a_new_question(house):
    watch = Watch()
    async with house(clocks=watch.clocks, deaf=True) as home:
        await home.stage.ask(Ask(text="set a timer for 5 minutes"), role=Role.GUEST)
        watch.now += 300
        await nudge(home)
        ring = await home.stage.received(Say)
        await home.wake("t")
        await home.reached("t", "listening")

        await home.tell(ring.envelope.turn, PlaybackStatus(event="speaking_end", satellite="kitchen", n=0))

        assert (await home.ended(ring.envelope.turn)).phase == "done"


async def test_what_rang_can_be_repeated(house):
    watch = Watch()
    async with house(clocks=watch.clocks) as home:
        await home.ask("t1", "set a timer for 5 minutes")
        watch.now += 300
        await nudge(home)
        await rings(home)
        await home.control("finish")

        assert (await home.ask("t2", "repeat that")).reply == "Your 5 minute timer is done."


@pytest.mark.parametrize("words", ["Yes.", "yes, please", "do it", "Yeah go ahead", "I\u2019m sure"])
def test_leave_is_given_with(words):
    assert is_yes(words)
    assert not is_no(words)


@pytest.mark.parametrize("words", ["No!", "no thanks", "don't", "stop"])
def test_leave_is_refused_with(words):
    assert is_no(words)
    assert not is_yes(words)


@pytest.mark.parametrize("words", ["", "yes what time is it", "say yes to confirm", "okay"])
def test_other_words_mean_neither(words):
    assert not is_yes(words)
    assert not is_no(words)


def test_leave_can_be_given_for_a_while():
    now = [0.0]
    confirmations = Confirmations(lambda: now[0], within_s=30)
    confirmations.ask("s", Intent("ClearList"))
    now[0] = 29.9
    assert confirmations.take("other") is None
    assert confirmations.take("s") == Intent("ClearList")
    assert confirmations.take("s") is None

    confirmations.ask("s", Intent("ClearList"))
    now[0] = 60.0
    assert confirmations.take("s") is None
