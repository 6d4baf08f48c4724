"""A conversation from what was said to what is answered."""

import asyncio

import pytest

from mynah_contracts import (
    LlmCancel,
    LlmDelta,
    Role,
    SatelliteControl,
    Say,
    Transcript,
    TurnEvent,
    WakeEvent,
)
from router_worker.settings import RouterSettings
from router_worker.turn import FILLER

TIME = "what time is it"
STORY = "tell me a story about penguins"


def settings(**changed) -> RouterSettings:
    return RouterSettings(default_satellite="kitchen", **changed)


# -- the whole way


@pytest.mark.req("RTR-01")
async def test_what_is_said_is_answered_by_an_intent_at_the_satellite_where_it_was_said(house):
    async with house(rooms=("kitchen", "office")) as home:
        ended = await home.ask("t", TIME, "office")

        (turn, say), *more = home.sent(Say)
        assert (turn, say.satellite, say.n) == ("t", "office", 0)
        assert say.text.startswith("It is ")
        assert more == []
        assert (ended.phase, ended.transcript, ended.intent, ended.reply) == ("done", TIME, "GetTime", say.text)
        assert await home.control("finish") == SatelliteControl(satellite="office", action="finish", sentences=1)


async def test_the_phases_of_a_turn_come_in_order_and_its_steps_add_up(house):
    async with house() as home:
        ended = await home.ask("t", TIME)

        assert home.phases("t") == ["listening", "transcribing", "thinking", "speaking", "done"]
        assert [step.name for step in ended.steps] == ["listening", "transcribing", "thinking", "speaking"]
        assert sum(step.ms for step in ended.steps) == pytest.approx(ended.total_ms, rel=1e-6)
        told = [event for _, event in home.sent(TurnEvent)]
        assert [(event.step, event.ms) for event in told[1:]] == [(step.name, step.ms) for step in ended.steps]


@pytest.mark.req("RTR-02", "LLM-05")
async def test_the_first_sentence_is_spoken_before_the_last_delta_is_there(house, model):
    more = asyncio.Event()
    brain = model(deltas=("Penguins ", "live in the south. ", "They ", "like fish."), pause_before={3: more})
    async with house(model=brain) as home:
        await home.wake("t")
        await home.hear("t", STORY)
        first = await home.stage.next(Say)
        assert first.text == "Penguins live in the south."
        assert len(home.sent(LlmDelta)) == 3

        more.set()

        assert (await home.ended("t")).reply == "Penguins live in the south. They like fish."
        assert home.said("t") == ["Penguins live in the south.", "They like fish."]


async def test_the_last_delta_is_spoken_before_the_whole_answer_is_there(house, model):
    more = asyncio.Event()
    async with house(model=model(deltas=("One. ", "And two"), marks_last=True, pause_before={2: more})) as home:
        await home.wake("t")
        await home.hear("t", STORY)
        said = [(await home.stage.next(Say)).text, (await home.stage.next(Say)).text]

        more.set()

        assert said == ["One.", "And two"]
        assert (await home.ended("t")).reply == "One. And two"
        assert home.said("t") == said


async def test_a_delta_that_was_lost_is_made_up_for_by_the_whole_answer(house, model):
    async with house(model=model(deltas=("One. ", "Two. ", "Three."), lost=frozenset({1}))) as home:
        ended = await home.ask("t", STORY)

        assert ended.reply == "One. Two. Three."


@pytest.mark.req("TTS-06", "PERF-09")
async def test_a_slow_model_is_bridged_by_a_filler_and_its_late_answer_is_spoken_in_the_same_turn(house, model):
    awake = asyncio.Event()
    async with house(model=model(pause_before={0: awake}), settings=settings(filler_s=0.01)) as home:
        await home.wake("t")
        await home.hear("t", STORY)
        filler = await home.stage.received(Say)
        assert (filler.message.text, filler.message.n, filler.envelope.turn) == (FILLER, 0, "t")

        awake.set()

        answer = await home.stage.received(Say)
        assert (answer.message.text, answer.message.n, answer.envelope.turn) == ("This is an answer.", 1, "t")
        ended = await home.ended("t")
        assert (ended.phase, ended.reply) == ("done", "This is an answer.")


async def test_who_overhears_the_voice_is_told_what_is_no_answer(house, model):
    brain = model(pause_before={0: asyncio.Event()})
    async with house(model=brain, settings=settings(filler_s=0.01, answer_s=0.1)) as home:
        await home.ask("slow", STORY)
        await home.control("finish")
        await home.ask("known", TIME)
        await home.ask("noise", "")

        purposes = {
            turn: [say.purpose for of, say in home.sent(Say) if of == turn] for turn in ("slow", "known", "noise")
        }
        assert purposes == {"slow": ["filler", "error"], "known": ["answer"], "noise": ["error"]}


async def test_the_filler_is_due_in_time_to_be_heard_within_two_seconds():
    assert RouterSettings().filler_s == 1.9


async def test_markup_is_not_read_aloud(house, model):
    async with house(model=model(deltas=("**Bold** and ", "`code`."))) as home:
        assert (await home.ask("t", STORY)).reply == "Bold and code."


# -- what is missing or fails


async def test_without_a_language_model_intents_still_work_and_the_rest_says_what_is_missing(house):
    async with house(without=(Role.LLM,)) as home:
        assert (await home.ask("t1", TIME)).phase == "done"
        await home.control("finish")

        ended = await home.ask("t2", STORY)

        assert ended.phase == "failed"
        assert ended.error == "I encountered an error: No llm worker is running."
        await home.control("finish")
        assert home.said("t2") == [ended.error]


async def test_a_model_that_fails_before_its_answer_is_spoken_about(house, model):
    async with house(model=model(deltas=(), failure="The model is out of memory.")) as home:
        ended = await home.ask("t", STORY)

        assert ended.error == "I encountered an error: The model is out of memory."
        await home.control("finish")
        assert home.said("t") == [ended.error]


async def test_a_model_that_fails_in_the_middle_is_spoken_about_after_what_it_said(house, model):
    async with house(model=model(deltas=("Penguins live. ", "Th"), failure="The model is gone.")) as home:
        ended = await home.ask("t", STORY)

        assert ended.phase == "failed"
        assert (await home.control("finish")).sentences == 2
        assert home.said("t") == ["Penguins live.", "I encountered an error: The model is gone."]


async def test_a_model_that_says_nothing_is_a_failure(house, model):
    async with house(model=model(deltas=("  ", "\n"))) as home:
        assert (await home.ask("t", STORY)).error.startswith("I encountered an error: the language model had nothing")


async def test_a_model_that_is_too_late_is_given_up_and_told_to_stop(house, model):
    never = asyncio.Event()
    async with house(model=model(pause_before={0: never}), settings=settings(answer_s=0.05)) as home:
        ended = await home.ask("t", STORY)

        assert ended.error == "I encountered an error: that took too long."
        assert (await home.stage.next(LlmCancel)).turn_id == "t"


async def test_without_a_voice_a_turn_fails_at_once_and_the_satellite_is_told_that_nothing_comes(house):
    async with house(without=(Role.TTS,)) as home:
        ended = await home.ask("t", TIME)

        assert ended.phase == "failed"
        assert "I have no voice: No tts worker is running" in ended.error
        finish = await home.control("finish")
        assert (finish.sentences, finish.reason) == (0, ended.error)


async def test_a_turn_that_nobody_could_transcribe_says_why(house):
    async with house() as home:
        await home.wake("t")
        await home.tell("t", WakeEvent(type="heard", satellite="kitchen"))
        await home.tell("t", WakeEvent(type="error", satellite="kitchen", cause="No stt worker is running."))

        assert (await home.ended("t")).error == "I encountered an error: No stt worker is running."


class Baffled:
    """A recogniser with a bug."""

    def is_none(self, text):
        return False

    def recognise(self, text):
        if "penguins" in text:
            raise ZeroDivisionError

    def vocabulary(self):
        return {}


async def test_a_bug_ends_one_turn_and_no_other(house):
    async with house(understands=Baffled()) as home:
        ended = await home.ask("t1", STORY)
        assert ended.error == "I encountered an error: something went wrong."

        assert (await home.ask("t2", "tell me about owls")).reply == "This is an answer."


@pytest.mark.parametrize("satellite", ["", "Living Room", "../../x", "ä" * 100])
async def test_a_transcript_from_nowhere_is_answered_at_the_default_satellite(house, satellite):
    async with house() as home:
        await home.stage.send(Transcript(text=TIME, satellite=satellite))

        assert (await home.stage.next(Say)).satellite == "kitchen"


async def test_a_question_of_any_length_is_survived(house):
    async with house() as home:
        ended = await home.ask("t", "x " * 100_000)

        assert ended.phase == "done"
        assert len(home.model.requests[0].text) == 100_000


@pytest.mark.parametrize(
    ("mode", "answer"),
    [
        ("dictation", "Sorry, I didn't understand that."),
        ("grammar", "Sorry, I didn't understand that. I know commands only, until a Whisper model is installed."),
    ],
)
async def test_what_was_not_understood_is_said_to_be_so(house, mode, answer):
    async with house() as home:
        await home.wake("t")
        await home.hear("t", " ", mode=mode)

        assert (await home.ended("t")).reply == answer


async def test_noise_at_a_satellite_that_always_listens_is_not_answered(house):
    async with house() as home:
        await home.wake("t", cause="speech")
        await home.hear("t", "")

        assert (await home.ended("t")).phase == "cancelled"
        assert home.said() == []


# -- several satellites


@pytest.mark.req("F22")
async def test_the_loudest_of_two_satellites_answers_and_the_other_is_told_to_stand_down(house):
    async with house(rooms=("kitchen", "office")) as home:
        await home.wake("t1", "office", cause="okay nabu", energy=-40)
        await home.wake("t2", "kitchen", cause="okay nabu", energy=-20)

        received = await home.stage.received(SatelliteControl)
        while received.message.action != "stand_down":
            received = await home.stage.received(SatelliteControl)
        assert (received.message.satellite, received.envelope.turn) == ("office", "t1")
        assert (await home.ended("t1")).phase == "cancelled"
        await home.hear("t1", TIME, "office")
        await home.hear("t2", TIME, "kitchen")
        assert (await home.ended("t2")).phase == "done"
        assert [(turn, say.satellite) for turn, say in home.sent(Say)] == [("t2", "kitchen")]


async def test_a_satellite_that_reports_after_the_verdict_stands_down_and_is_not_answered(house):
    async with house(rooms=("kitchen", "office", "attic")) as home:
        await home.wake("t1", "office", cause="okay nabu", energy=-40)
        await home.wake("t2", "kitchen", cause="okay nabu", energy=-20)
        await home.ended("t1")

        await home.wake("t3", "attic", cause="okay nabu", energy=0)

        assert (await home.control("stand_down")).satellite == "office"
        assert (await home.control("stand_down")).satellite == "attic"
        await home.hear("t3", TIME, "attic")
        await home.hear("t2", TIME, "kitchen")
        await home.ended("t2")
        assert {turn for turn, _ in home.sent(Say)} == {"t2"}


async def test_who_pushes_a_button_is_answered_whoever_else_was_woken(house):
    async with house(rooms=("kitchen", "office")) as home:
        await home.wake("t1", "office", cause="okay nabu", energy=-40)
        await home.wake("t2", "kitchen")
        await home.hear("t1", TIME, "office")
        await home.hear("t2", TIME, "kitchen")
        await home.ended("t1")
        await home.ended("t2")

        assert {turn for turn, _ in home.sent(Say)} == {"t1", "t2"}
