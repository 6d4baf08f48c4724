import asyncio

import pytest

from mynah_bus import Bus, BusSettings, EngineFailed, RequestFailed, Worker, conversation
from mynah_bus.wire import decode
from mynah_contracts import (
    Answer,
    Ask,
    Health,
    LlmCancel,
    LlmDelta,
    MemoryStore,
    PlaybackControl,
    PlaybackStatus,
    Role,
    SatelliteControl,
    Say,
    Transcript,
    TurnEvent,
    Vocabulary,
    WakeEvent,
)
from router_worker.settings import RouterSettings
from router_worker.turn import FILLER
from router_worker.worker import Conversation

TIME = "what time is it"
STORY = "tell me a story about penguins"


def settings(**changed) -> RouterSettings:
    return RouterSettings(default_satellite="kitchen", **changed)


async def ask(house, text: str, *, session: str | None = None, turn: str | None = None) -> Answer:
    with conversation(session=session, turn=turn):
        answer = await house.stage.ask(Ask(text=text), role=Role.GUEST, timeout=20)
    assert isinstance(answer, Answer)
    return answer


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


# -- never twice


async def test_a_second_router_refuses_to_begin(house, tmp_path, recogniser):
    async with house() as home:
        second = Bus(Role.ROUTER, BusSettings(home=tmp_path / "second", instance="2"), link=home.stage.broker.link)
        conversation_of_two = Conversation(second, settings(), recogniser=lambda: recogniser)

        with pytest.raises(EngineFailed, match=r"^router/1 holds the conversation already \(process \d+ on [^)]+\)"):
            async with Worker(second, conversation_of_two):
                pass

        await ask(home, TIME)


@pytest.mark.parametrize(("seconds", "leaves"), [(-1.0, True), (1.0, False)])
async def test_of_two_routers_that_began_together_the_younger_leaves(house, tmp_path, recogniser, seconds, leaves):
    async with house(without=(Role.ROUTER,)) as home:
        bus = Bus(Role.ROUTER, BusSettings(home=tmp_path, instance="2"), link=home.stage.broker.link)
        living = asyncio.create_task(Worker(bus, Conversation(bus, settings(), recogniser=lambda: recogniser)).run())
        await (await home.stage.bus(Role.GUEST)).until_up(Role.ROUTER, timeout=10)
        twin = Health(service=Role.ROUTER, instance="1", status="up", started_at=bus.started_at + seconds, seq=1)
        await home.stage.send(twin, role=Role.ROUTER)
        if leaves:
            with pytest.raises(BaseExceptionGroup) as failure:
                await asyncio.wait_for(living, 10)
            assert failure.group_contains(EngineFailed, match="router/1 holds the conversation already")
        else:
            await ask(home, TIME)
            living.cancel()
            await asyncio.wait({living})


@pytest.mark.req("F22")
async def test_a_second_transcript_of_a_turn_is_not_answered(house):
    async with house() as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.transcribe("t", "what day is it")
        assert (await home.ended("t")).transcript == TIME

        await home.transcribe("t", "what day is it")

        await home.ask("later", TIME)
        assert len(home.said("t")) == 1
        assert home.phases("t").count("done") == 1


async def test_a_transcript_that_comes_after_the_turn_was_cancelled_is_not_answered(house):
    async with house() as home:
        await home.wake("t")
        await home.tell("t", WakeEvent(type="timeout", satellite="kitchen"))
        await home.ended("t")

        await home.transcribe("t", TIME)

        await home.ask("later", TIME)
        assert home.said("t") == []


async def test_a_turn_cannot_be_woken_a_second_time(house):
    async with house() as home:
        await home.ask("t", TIME)
        await home.wake("t")
        await home.ask("later", TIME)

        assert home.phases("t").count("listening") == 1


@pytest.mark.req("S06")
async def test_nobody_speaks_for_the_turn_of_another_satellite(house):
    async with house(rooms=("kitchen", "office")) as home:
        await home.wake("t", "kitchen")
        await home.tell("t", WakeEvent(type="heard", satellite="office"))
        await home.transcribe("t", "cancel all timers", "office")
        await home.hear("t", TIME, "kitchen")

        assert (await home.ended("t")).transcript == TIME


async def test_the_message_that_speech_has_ended_may_be_lost(house):
    async with house() as home:
        await home.wake("t")
        await home.transcribe("t", TIME)

        assert (await home.ended("t")).phase == "done"


async def test_a_router_that_is_started_in_the_middle_of_a_turn_answers_it_once(house):
    async with house() as home:
        await home.wake("t")
        await home.tell("t", WakeEvent(type="heard", satellite="kitchen"))
        await home.reached("t", "transcribing")
    async with house() as home:
        await home.transcribe("t", TIME)
        await home.transcribe("t", TIME)

        assert (await home.ended("t")).phase == "done"
        assert len(home.said("t")) == 1


# -- cancelling


async def a_model_that_hangs(home, turn: str = "t", satellite: str = "kitchen") -> None:
    await home.wake(turn, satellite)
    await home.hear(turn, STORY, satellite)
    await home.reached(turn, "thinking")


@pytest.mark.req("F23")
async def test_stop_while_thinking_stops_the_model_and_the_turn(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()})) as home:
        await a_model_that_hangs(home)

        await home.tell("elsewhere", PlaybackControl(action="stop", satellite="kitchen"))

        assert (await home.ended("t")).phase == "cancelled"
        assert (await home.stage.next(LlmCancel)).turn_id == "t"
        assert (await home.stage.received(SatelliteControl)).message.action == "stop"
        assert home.said() == []


async def test_stop_at_another_satellite_stops_nothing_here(house, model):
    go = asyncio.Event()
    async with house(model=model(pause_before={0: go}), rooms=("kitchen", "office")) as home:
        await a_model_that_hangs(home)
        await home.tell("elsewhere", PlaybackControl(action="stop", satellite="office"))
        await home.ask("later", TIME, "office")

        go.set()

        assert (await home.ended("t")).phase == "done"


async def test_a_new_wake_at_the_same_satellite_ends_what_was_asked_there(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), rooms=("kitchen", "office")) as home:
        await a_model_that_hangs(home, "t1", "kitchen")
        await a_model_that_hangs(home, "t2", "office")

        await home.wake("t3", "kitchen")

        assert (await home.ended("t1")).phase == "cancelled"
        assert (await home.stage.next(LlmCancel)).turn_id == "t1"
        assert home.phases("t2") == ["listening", "transcribing", "thinking"]


async def test_a_sentence_that_is_being_made_is_the_last_of_a_cancelled_turn(house, model):
    async with house(model=model(deltas=("One. ", "Two, which is a sentence that is long enough. ", "Three."))) as home:
        home.voice.gate.clear()
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.stage.next(Say)
        await home.wake("t2")
        await home.ended("t1")
        home.voice.gate.set()
        await home.hear("t2", TIME)
        await home.ended("t2")

        assert home.said("t1") == ["One."]
        assert [c.action for turn, c in home.sent(SatelliteControl) if turn == "t1"] == ["stop"]


async def test_the_history_keeps_what_was_heard(house, model):
    brain = model(deltas=("Penguins live in the south. They like fish very much, and they walk upright.",))
    async with house(model=brain, deaf=True) as home:
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.control("finish")
        await home.tell("t1", PlaybackStatus(event="speaking_end", satellite="kitchen", n=0))
        await home.tell("t1", PlaybackStatus(event="stopped", satellite="kitchen", n=1, heard_ms=500))
        assert (await home.ended("t1")).phase == "cancelled"

        await home.wake("t2")
        await home.hear("t2", "and whales")
        await home.reached("t2", "speaking")

        said = [(message.role, message.content) for message in home.model.requests[1].history]
        assert said == [("user", STORY), ("assistant", "Penguins live in the south. They like fish very")]


async def test_stop_keeps_what_was_heard_before_it(house, model):
    brain = model(deltas=("Penguins live in the south where it is cold",))
    async with house(model=brain, deaf=True) as home:
        await home.wake("t1")
        await home.hear("t1", STORY)
        await home.control("finish")

        await home.tell("elsewhere", PlaybackControl(action="stop"))
        await home.tell("t1", PlaybackStatus(event="stopped", satellite="kitchen", n=0, heard_ms=500))

        assert (await home.ended("t1")).phase == "cancelled"
        await home.wake("t2")
        await home.hear("t2", "and whales")
        await home.reached("t2", "speaking")
        assert home.model.requests[1].history[1].content == "Penguins live in the"


async def test_stop_ends_a_turn_whose_satellite_does_not_answer(house):
    async with house(deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.reached("t", "speaking")

        await home.tell("elsewhere", PlaybackControl(action="stop"))

        assert (await home.ended("t")).phase == "cancelled"


async def test_a_sentence_without_sound_can_be_cut(house, voice):
    voice.audio_ms = 0.0
    async with house(voice=voice, deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.control("finish")
        await home.tell("t", PlaybackStatus(event="stopped", satellite="kitchen", n=0, heard_ms=0))

        assert (await home.ended("t")).phase == "cancelled"


@pytest.mark.req("TTS-04")
async def test_a_turn_that_was_paused_goes_on_when_it_is_resumed(house):
    async with house(deaf=True) as home:
        await home.wake("t")
        await home.hear("t", TIME)
        await home.control("finish")
        for event in ("paused", "resumed", "speaking_end"):
            await home.tell("t", PlaybackStatus(event=event, satellite="kitchen", n=0))

        assert (await home.ended("t")).phase == "done"


async def test_what_was_asked_at_a_satellite_that_is_gone_fails(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), rooms=()) as home:
        async with home.room("attic"):
            await a_model_that_hangs(home, "t", "attic")

        ended = await home.ended("t")

        assert (ended.phase, ended.error) == ("failed", "I encountered an error: the satellite is gone.")


async def test_the_router_can_be_stopped_while_questions_wait(house, model):
    async with house(model=model(pause_before={0: asyncio.Event()}), without=(Role.TTS,)) as home:
        await a_model_that_hangs(home)

    assert home.phases("t")[-1] == "cancelled"


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


# -- the conversation


async def test_repeat_that_says_the_last_answer_of_the_same_session(house, model):
    async with house(rooms=("kitchen", "office")) as home:
        await home.ask("t1", STORY, "kitchen")

        assert (await home.ask("t2", "repeat that", "kitchen")).reply == "This is an answer."
        assert (await home.ask("t3", "repeat that", "office")).reply == "I have not said anything yet."


async def test_sessions_do_not_mix(house):
    async with house() as home:
        await ask(home, "my secret is blue", session="anna")
        await ask(home, "my secret is red", session="ben")
        await ask(home, "what is it", session="anna")

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

        answers = await asyncio.gather(*(ask(home, text, session=f"s{n}") for n, text in enumerate(texts)))

        assert all(answer.reply for answer in answers)
        assert len({answer.turn_id for answer in answers}) == 100


async def test_what_is_asked_in_writing_is_answered_as_it_was_written(house, model):
    written = "Set **MYNAH_LLM_BASE_URL**, see https://example.org/a/b?c=d:\n\n```sh\nexport A_B=1\n```\n\n- done"
    deltas = ("\n", *(written[at : at + 3] for at in range(0, len(written), 3)), "\n")
    async with house(model=model(deltas=deltas, lost=frozenset({4}))) as home:
        answer = await ask(home, STORY, session="desk")
        await ask(home, STORY, session="desk")

        assert answer.reply == written
        assert home.model.requests[1].history[1].content == written


async def test_an_answer_in_writing_has_its_steps(house):
    async with house() as home:
        answer = await ask(home, TIME)

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
        assert (await ask(home, "stop")).reply == ""


async def test_a_question_in_writing_that_fails_says_why(house):
    async with house(without=(Role.LLM,)) as home:
        with pytest.raises(RequestFailed, match="No llm worker is running"):
            await ask(home, STORY)


async def test_a_question_in_writing_cannot_take_the_turn_of_somebody_who_speaks(house):
    async with house() as home:
        await home.wake("t")
        answer = await ask(home, TIME, turn="t")
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


# -- leave


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

        assert (await ask(home, "cancel all timers")).reply == "I canceled 1 timer."
