"""A turn, from listening to silence."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from router_worker.turn import FILLER, Kind, Limits, State, Turn


class Clock:
    """Monotonic nanoseconds that pass when told to."""

    def __init__(self) -> None:
        self.ns = 1_000_000_007

    def __call__(self) -> int:
        return self.ns

    def pass_s(self, seconds: float) -> None:
        self.ns += round(seconds * 1e9)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asked(clock: Clock, **options) -> Turn:
    return Turn(clock, typed="tell me a story", **options)


def test_a_spoken_turn_goes_from_listening_to_done_when_all_was_heard(clock: Clock) -> None:
    turn = Turn(clock)
    states = [turn.state]
    turn.listened()
    states.append(turn.state)
    turn.transcribed("what time is it")
    states.append(turn.state)
    sentence = turn.say("It is 3:05 PM.", by="intent")
    states.append(turn.state)
    turn.complete("intent")
    states.append(turn.state)
    turn.played(sentence.number)
    states.append(turn.state)
    assert states == [
        State.LISTENING,
        State.TRANSCRIBING,
        State.THINKING,
        State.SPEAKING,
        State.SPEAKING,
        State.DONE,
    ]
    assert (turn.transcript, turn.heard) == ("what time is it", "It is 3:05 PM.")


def test_an_answer_in_writing_goes_on_where_it_ended_after_the_filler_and_for_who_began_it(clock: Clock) -> None:
    turn = asked(clock, is_played=False)
    clock.pass_s(2)
    assert turn.tick().text == FILLER
    assert turn.write("Once upon", by="llm")
    assert turn.write(" a\ntime.", by="llm")
    assert not turn.write("It is noon.", by="intent")
    turn.complete("llm")
    assert not turn.write("More.", by="llm")
    assert (turn.state, turn.answer) == (State.DONE, "Once upon a\ntime.")


def test_the_steps_follow_each_other_and_add_up_to_the_total(clock: Clock) -> None:
    turn = Turn(clock)
    clock.pass_s(0.0000123)
    turn.listened()
    clock.pass_s(0.25)
    turn.transcribed("hello")
    clock.pass_s(0.3333333)
    sentence = turn.say("Hello.", by="llm")
    clock.pass_s(1)
    turn.complete("llm")
    turn.played(sentence.number)
    clock.pass_s(9)
    assert [step.name for step in turn.steps] == ["listening", "transcribing", "thinking", "speaking"]
    assert sum(step.us for step in turn.steps) == turn.total_us
    assert turn.total_us == pytest.approx(12 + 250_000 + 333_333 + 1_000_000, abs=2)
    assert turn.steps[1].ms == pytest.approx(250, abs=0.01)


def test_a_turn_that_nobody_plays_is_done_when_it_is_complete(clock: Clock) -> None:
    turn = asked(clock, is_played=False)
    turn.say("It is 3:05 PM.", by="intent")
    turn.complete("intent")
    assert turn.state is State.DONE
    assert turn.heard == "It is 3:05 PM."


def test_only_who_began_the_answer_may_go_on_with_it(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("Once upon a time.", by="llm/1")
    assert turn.say("There was a king.", by="llm/2") is None
    assert not turn.complete("llm/2")
    assert turn.say("There was a queen.", by="llm/1") is not None
    assert turn.answer == "Once upon a time. There was a queen."


def test_nothing_is_added_to_a_complete_answer(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("The end.", by="llm")
    turn.complete("llm")
    assert turn.say("And another thing.", by="llm") is None
    assert not turn.complete("llm")


def test_a_late_transcript_is_refused(clock: Clock) -> None:
    turn = Turn(clock)
    turn.listened()
    turn.transcribed("stop")
    assert not turn.transcribed("shop")
    assert turn.transcript == "stop"


def test_a_transcript_before_the_end_of_speech_is_refused(clock: Clock) -> None:
    turn = Turn(clock)
    assert not turn.transcribed("what")
    assert turn.state is State.LISTENING


def test_an_answer_without_a_sentence_is_refused_so_that_the_turn_cannot_end_in_silence(clock: Clock) -> None:
    turn = asked(clock)
    assert not turn.complete("llm")
    assert turn.state is State.THINKING
    clock.pass_s(30)
    assert turn.tick().kind is Kind.ERROR


def test_silence_may_be_the_answer(clock: Clock) -> None:
    turn = Turn(clock, typed="stop")
    assert turn.complete("intent", silently=True)
    assert turn.state is State.DONE


def test_after_two_seconds_without_a_sentence_it_says_once_that_it_is_working(clock: Clock) -> None:
    turn = Turn(clock)
    clock.pass_s(5)
    turn.listened()
    clock.pass_s(0.5)
    turn.transcribed("why is the sky blue")
    assert turn.due_in() == pytest.approx(1.4)
    assert turn.tick() is None
    clock.pass_s(turn.due_in())
    filler = turn.tick()
    assert (filler.text, filler.kind, filler.number) == (FILLER, Kind.FILLER, 1)
    assert turn.state is State.THINKING
    assert turn.tick() is None
    assert turn.due_in() == pytest.approx(28.1)


def test_it_says_that_it_is_working_while_a_slow_ear_transcribes(clock: Clock) -> None:
    turn = Turn(clock)
    turn.listened()
    clock.pass_s(2)
    assert turn.tick().kind is Kind.FILLER
    assert turn.transcribed("at last")


def test_the_filler_is_not_part_of_what_was_answered(clock: Clock) -> None:
    turn = asked(clock)
    clock.pass_s(2)
    turn.tick()
    answer = turn.say("Because of scattering.", by="llm")
    assert answer.number == 2
    turn.complete("llm")
    turn.played(1)
    assert turn.state is State.SPEAKING
    assert turn.heard == ""
    turn.played(2)
    assert (turn.state, turn.heard) == (State.DONE, "Because of scattering.")


def test_no_filler_once_the_answer_has_begun(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("Well.", by="llm")
    clock.pass_s(3)
    assert turn.tick() is None


def test_past_the_deadline_the_turn_fails_aloud_and_what_comes_later_is_refused(clock: Clock) -> None:
    turn = asked(clock)
    clock.pass_s(30)
    assert turn.say("Here I am.", by="llm") is None
    error = turn.tick()
    assert error.text == "I encountered an error: that took too long."
    assert turn.state is State.FAILED
    assert turn.due_in() is None
    assert turn.say("Here I am.", by="llm") is None
    assert turn.tick() is None
    assert turn.total_us == 30_000_000


def test_an_answer_that_stalls_fails_but_one_that_goes_on_does_not(clock: Clock) -> None:
    turn = asked(clock, limits=Limits(silence_s=10))
    for number in range(1, 6):
        turn.say(f"Sentence {number}.", by="llm")
        clock.pass_s(9)
        turn.played(number)
    assert turn.tick() is None
    clock.pass_s(10)
    assert turn.tick().kind is Kind.ERROR


def test_a_long_sentence_may_be_heard_to_its_end(clock: Clock) -> None:
    turn = asked(clock, limits=Limits(silence_s=10))
    turn.say("A long one.", by="llm")
    turn.lasts(1, 100)
    turn.say("A short one.", by="llm")
    turn.lasts(2, 1)
    turn.complete("llm")
    clock.pass_s(109)
    assert turn.tick() is None
    turn.played(1)
    clock.pass_s(10)
    assert turn.tick() is None
    clock.pass_s(1)
    assert turn.tick().kind is Kind.ERROR


def test_of_a_sentence_that_was_cut_less_than_all_was_heard(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One two three four.", by="llm")
    assert turn.share(1, 1) == 0
    turn.lasts(1, 4)
    assert turn.share(1, 1) == 0.25
    assert turn.share(1, 5) < 1


def test_listening_to_nobody_ends_without_a_word(clock: Clock) -> None:
    turn = Turn(clock)
    clock.pass_s(61)
    assert turn.tick() is None
    assert turn.state is State.CANCELLED


def test_barge_in_keeps_what_was_heard_to_the_last_whole_word(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("Once upon a time there was a king.", by="llm")
    turn.say("He had three daughters and a horse.", by="llm")
    turn.say("They lived.", by="llm")
    turn.played(1)
    assert turn.interrupt(2, 0.5)
    assert turn.is_held
    assert turn.cancel()
    assert turn.state is State.CANCELLED
    assert turn.heard == "Once upon a time there was a king. He had three"


def test_what_is_said_while_the_sound_is_held_is_heard_after_it_goes_on(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    turn.say("Two.", by="llm")
    turn.played(1)
    turn.interrupt(2, 0.4)
    assert turn.say("Three.", by="llm") is not None
    assert turn.resume()
    assert not turn.is_held
    turn.complete("llm")
    turn.played(3)
    assert (turn.state, turn.heard) == (State.DONE, "One. Two. Three.")


def test_what_was_heard_before_the_sound_was_held_stays_heard(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One two three four.", by="llm")
    turn.interrupt(1, 0.6)
    turn.resume()
    turn.cancel()
    assert turn.heard == "One two"


def test_going_on_after_the_last_word_ends_the_turn(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    turn.complete("llm")
    turn.interrupt(1, 1.0)
    assert turn.state is State.SPEAKING
    assert turn.resume()
    assert turn.state is State.DONE


def test_while_it_is_held_hearing_the_last_word_does_not_end_it(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    turn.complete("llm")
    turn.interrupt(1, 0.9)
    turn.played(1)
    assert turn.state is State.SPEAKING
    turn.cancel()
    assert (turn.state, turn.heard) == (State.CANCELLED, "One.")


def test_a_report_that_was_overtaken_takes_nothing_back(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One two three.", by="llm")
    turn.say("Four five six.", by="llm")
    turn.played(2, 0.7)
    turn.played(2, 0.2)
    turn.played(1)
    assert turn.heard == "One two three. Four five"


def test_a_turn_that_is_held_and_forgotten_is_cancelled(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    turn.interrupt(1, 0.5)
    clock.pass_s(61)
    assert turn.tick() is None
    assert turn.state is State.CANCELLED


def test_what_is_over_stays_over(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    turn.cancel()
    assert not turn.cancel()
    assert turn.fail("too late") is None
    assert not turn.played(1)
    assert not turn.interrupt(1, 0.5)
    assert not turn.resume()
    assert not turn.complete("llm")
    assert turn.state is State.CANCELLED


def test_a_sentence_that_was_never_said_cannot_be_heard(clock: Clock) -> None:
    turn = asked(clock)
    turn.say("One.", by="llm")
    assert not turn.played(2)
    assert not turn.played(0)
    assert not turn.interrupt(2, 0.1)


class AnyOrder(RuleBasedStateMachine):
    """Reports in any order, at any time: one end, one answer, no gap."""

    sentences = Bundle("sentences")

    @initialize(typed=st.booleans(), is_played=st.booleans())
    def begin(self, *, typed: bool, is_played: bool) -> None:
        self.clock = Clock()
        self.turn = Turn(self.clock, typed="hello" if typed else None, is_played=is_played)
        self.ends: list[State] = []
        self.order: list[State] = [self.turn.state]

    @rule(seconds=st.floats(0, 20))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_s(seconds)

    @rule()
    def speech_ends(self) -> None:
        self.turn.listened()

    @rule()
    def transcript_comes(self) -> None:
        self.turn.transcribed("hello")

    @rule(target=sentences, by=st.sampled_from(["intent", "llm/1", "llm/2"]))
    def sentence_comes(self, by: str):
        said = self.turn.say(f"A sentence by {by}.", by=by)
        return multiple() if said is None else said.number

    @rule(by=st.sampled_from(["intent", "llm/1", "llm/2"]), silently=st.booleans())
    def answer_is_complete(self, *, by: str, silently: bool) -> None:
        self.turn.complete(by, silently=silently)

    @rule(number=sentences, share=st.floats(-0.5, 1.5))
    def sentence_was_played(self, number: int, share: float) -> None:
        self.turn.played(number, share)

    @rule(number=sentences, share=st.floats(0, 1))
    def somebody_speaks_over_it(self, number: int, share: float) -> None:
        self.turn.interrupt(number, share)

    @rule()
    def sound_goes_on(self) -> None:
        self.turn.resume()

    @rule()
    def nobody_wants_it(self) -> None:
        self.turn.cancel()

    @rule()
    def something_breaks(self) -> None:
        self.turn.fail("it broke")

    @rule()
    def time_is_up(self) -> None:
        self.turn.tick()

    @invariant()
    def the_order_of_states_is_kept(self) -> None:
        if not hasattr(self, "turn"):
            return
        if self.turn.state is not self.order[-1]:
            assert not self.order[-1].is_over
            assert (
                self.turn.state.is_over or list(State).index(self.turn.state) == list(State).index(self.order[-1]) + 1
            )
            self.order.append(self.turn.state)

    @invariant()
    def nothing_is_lost_between_the_steps(self) -> None:
        if hasattr(self, "turn"):
            assert sum(step.us for step in self.turn.steps) == self.turn.total_us
            assert min(step.us for step in self.turn.steps) >= 0

    @invariant()
    def one_voice_answers(self) -> None:
        if hasattr(self, "turn"):
            answers = {s.text for s in self.turn.sentences if s.kind is Kind.ANSWER}
            assert len(answers) <= 1
            assert self.turn.answer.startswith(self.turn.heard)
            assert [s.number for s in self.turn.sentences] == list(range(1, len(self.turn.sentences) + 1))

    def teardown(self) -> None:
        if not hasattr(self, "turn"):
            return
        for _ in range(3):
            if (due := self.turn.due_in()) is not None:
                self.clock.pass_s(due + 1e-6)
                self.turn.tick()
        assert self.turn.state.is_over
        self.the_order_of_states_is_kept()
        errors = [s for s in self.turn.sentences if s.kind is Kind.ERROR]
        assert len(errors) == (self.turn.state is State.FAILED)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
