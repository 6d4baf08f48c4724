import asyncio

import numpy as np
import pytest

from mynah_contracts import PlaybackControl, Speech

SECOND = 16_000
BLOCK = 320


def sound(number: int, samples: int = BLOCK) -> np.ndarray:
    """Sound that can be told from other sound."""
    return np.full(samples, number, np.int16)


NOTHING = sound(0, 0)


def heard(home) -> list[int]:
    """Which sounds were played, in order."""
    values = home.loudspeaker.sound
    return [int(value) for index, value in enumerate(values) if index == 0 or value != values[index - 1]]


async def test_pieces_that_come_in_any_order_and_twice_are_played_once_and_in_order(home):
    async with home() as house:
        await house.say("t", 1, sound(4), first=1)
        await house.say("t", 0, sound(1), last=False)
        await house.say("t", 1, sound(3), last=False)
        await house.say("t", 0, sound(1), last=False)
        await house.say("t", 0, sound(2), first=1)
        await house.control("t", "finish", sentences=2)
        await house.room.mouth.silent.wait()

        assert heard(house) == [1, 2, 3, 4]


async def test_each_sentence_is_told_when_it_begins_and_ends(home):
    async with home() as house:
        await house.say("t", 0, sound(1), sound(2))
        await house.say("t", 1, sound(3), NOTHING)
        await house.control("t", "finish", sentences=2)
        await house.room.mouth.silent.wait()

        assert house.statuses() == [
            ("t", "speaking_start", 0),
            ("t", "speaking_end", 0),
            ("t", "speaking_start", 1),
            ("t", "speaking_end", 1),
        ]


async def test_what_is_said_by_hand_is_played_without_a_router(home):
    async with home(router=False) as house:
        await house.say("by-hand", 0, sound(1), NOTHING, sentences=1)
        await house.status("speaking_end")
        await house.room.mouth.silent.wait()

        assert heard(house) == [1]


async def test_a_hundred_sentences_that_belong_to_nothing_are_played_in_order(home):
    async with home(router=False) as house:
        for number in range(1, 101):
            await house.say(f"turn-{number}", 0, sound(number), NOTHING, sentences=1)
        await house.loudspeaker.reached(100)

        assert heard(house) == list(range(1, 101))


async def test_a_sentence_that_is_made_again_by_another_worker_goes_on_where_it_was(home):
    async with home() as house:
        await house.say("t", 0, sound(1), sound(2), last=False)
        await house.loudspeaker.reached(2)
        await house.say("t", 0, sound(1), sound(2), sound(3))
        await house.control("t", "finish", sentences=1)
        await house.room.mouth.silent.wait()

        assert heard(house) == [1, 2, 3]
        assert house.statuses()[-1] == ("t", "speaking_end", 0)


async def test_a_sentence_that_is_shorter_when_it_is_made_again_ends_all_the_same(home):
    async with home() as house:
        await house.say("t", 0, sound(1), sound(2), sound(3), last=False)
        await house.loudspeaker.reached(3)
        await house.say("t", 0, sound(1), sound(2))
        await house.control("t", "finish", sentences=1)
        await house.room.mouth.silent.wait()

        assert house.statuses() == [("t", "speaking_start", 0), ("t", "speaking_end", 0)]


async def test_a_piece_that_does_not_come_is_gone_on_without(home):
    async with home(missing_for_s=0.01) as house:
        await house.say("t", 0, sound(1), last=False)
        await house.say("t", 0, sound(3), first=2)
        await house.say("t", 1, sound(4))
        await house.control("t", "finish", sentences=2)
        await house.room.mouth.silent.wait()

        assert heard(house) == [1, 3, 4]
        assert house.statuses()[-1] == ("t", "speaking_end", 1)


async def test_a_sentence_whose_end_does_not_come_has_ended_when_the_next_one_begins(home):
    async with home(missing_for_s=0.01) as house:
        await house.say("t", 0, sound(1), last=False)
        await house.say("t", 1, sound(4))
        await house.control("t", "finish", sentences=2)
        await house.room.mouth.silent.wait()

        assert [(event, n) for _, event, n in house.statuses()] == [
            ("speaking_start", 0),
            ("speaking_end", 0),
            ("speaking_start", 1),
            ("speaking_end", 1),
        ]


async def test_a_sentence_that_was_promised_and_does_not_come_is_given_up_and_told(home):
    async with home(missing_for_s=0.01) as house:
        await house.say("t", 0, sound(1))
        await house.control("t", "finish", sentences=2)

        stopped = await house.status("stopped")

        assert (stopped.message.n, stopped.message.reason, stopped.envelope.turn) == (1, "missing", "t")
        await house.room.mouth.silent.wait()


async def test_a_sentence_that_is_still_thought_of_is_waited_for(home):
    async with home(missing_for_s=0.0) as house:
        await house.say("t", 0, sound(1))
        await house.status("speaking_end")
        await house.say("t", 1, sound(2))
        await house.control("t", "finish", sentences=2)
        await house.room.mouth.silent.wait()

        assert heard(house) == [1, 2]


@pytest.mark.req("TTS-04")
async def test_sound_is_held_and_goes_on_where_it_was(home):
    async with home(blocks=2) as house:
        await house.say("t", 0, sound(1, 10 * BLOCK))
        await house.loudspeaker.reached(2)
        await house.stage.send(PlaybackControl(action="pause", reason="the door"))
        paused = await house.status("paused")
        house.loudspeaker.allow(100)

        # The block that was being handed over may be out.
        assert paused.message.heard_ms == pytest.approx(40, abs=20)
        assert paused.message.reason == "the door"
        assert len(house.loudspeaker.blocks) <= 3

        await house.stage.send(PlaybackControl(action="resume", satellite="kitchen"))
        await house.status("resumed")
        await house.status("speaking_end")
        assert len(house.loudspeaker.blocks) == 10


async def test_a_pause_between_two_sentences_holds_the_next_one(home):
    async with home() as house:
        await house.say("t", 0, sound(1))
        await house.status("speaking_end")
        await house.stage.send(PlaybackControl(action="pause"))
        assert (await house.status("paused")).message.n == 1
        await house.say("t", 1, sound(2))
        await house.status("speaking_start")
        assert heard(house) == [1]

        await house.stage.send(PlaybackControl(action="resume"))

        await house.status("speaking_end")
        assert heard(house) == [1, 2]


async def test_what_comes_after_a_held_turn_is_not_held(home):
    async with home() as house:
        await house.say("t", 0, sound(1))
        await house.status("speaking_end")
        await house.stage.send(PlaybackControl(action="pause"))
        await house.status("paused")
        await house.control("t", "finish", sentences=1)
        await house.say("u", 0, sound(2), sentences=1)

        await house.room.mouth.silent.wait()
        assert heard(house) == [1, 2]


@pytest.mark.req("TTS-04")
async def test_stop_drops_what_is_being_said_and_tells_how_much_was_heard(home):
    async with home(blocks=3) as house:
        await house.say("t", 0, sound(1, 10 * BLOCK))
        await house.loudspeaker.reached(3)

        await house.stage.send(PlaybackControl(action="stop", satellite="kitchen"))

        stopped = await house.status("stopped")
        assert stopped.envelope.turn == "t"
        assert stopped.message.heard_ms == pytest.approx(60, abs=20)
        await house.say("t", 1, sound(2))
        await house.say("u", 0, sound(3), sentences=1)
        house.loudspeaker.allow(100)
        await house.status("speaking_end")
        assert 2 not in heard(house)
        assert heard(house)[-1] == 3


@pytest.mark.parametrize("block", [1, 9, 10, 11, 20])
async def test_nothing_sounds_after_stop_wherever_it_comes(home, block):
    async with home() as house:
        house.loudspeaker.hooks[block] = house.room.mouth.stop
        await house.say("t", 0, sound(1, 10_000), sound(2, 10_000), sentences=1)
        await house.room.mouth.silent.wait()
        await house.status("stopped")
        await house.say("u", 0, sound(3, 320), sentences=1)
        await house.status("speaking_end")

        assert [int(each[0]) for each in house.loudspeaker.blocks] == [*[1] * block, 3]


async def test_a_command_for_another_room_changes_nothing(home):
    async with home() as house:
        for action in ("pause", "stop"):
            await house.stage.send(PlaybackControl(action=action, satellite="office"))
        await house.say("t", 0, sound(1), sentences=1)

        await house.status("speaking_end")


async def test_nothing_is_told_of_a_pause_while_nothing_is_said(home):
    async with home() as house:
        for action in ("pause", "resume", "stop"):
            await house.stage.send(PlaybackControl(action=action))
        await house.say("t", 0, sound(1), sentences=1)
        await house.status("speaking_end")

        assert [event for _, event, _ in house.statuses()] == ["speaking_start", "speaking_end"]


async def test_a_turn_that_the_router_stops_is_not_said_even_when_its_sound_comes_later(home):
    async with home() as house:
        await house.control("t", "stop")
        await house.say("t", 0, sound(1))
        await house.control("t", "finish", sentences=1)
        await house.say("u", 0, sound(2), sentences=1)
        await house.status("speaking_end")

        assert heard(house) == [2]


async def test_a_failure_that_nobody_can_put_into_words_is_an_alarm(home):
    async with home() as house:
        await house.say("t", 0, sound(1))
        await house.control("t", "finish", sentences=1, reason="I have no voice.")
        await house.room.mouth.silent.wait()

        alarm = house.loudspeaker.sound[BLOCK:]
        assert len(alarm) == pytest.approx(0.4 * SECOND, abs=BLOCK)
        assert np.abs(alarm).max() > 4_000


async def test_sound_of_another_rate_is_played_at_the_rate_of_the_loudspeaker(home):
    async with home() as house:
        await house.stage.send(
            Speech(audio=bytes(2 * 22_050), satellite="kitchen", last=True, sentences=1, sample_rate=22_050)
        )
        await house.status("speaking_end")

        assert len(house.loudspeaker.sound) == pytest.approx(SECOND, abs=50)


async def test_the_end_of_a_room_is_not_held_up_by_what_it_says(home):
    async with asyncio.timeout(5), home(blocks=1) as house:
        await house.say("t", 0, sound(1, 10 * BLOCK))
        await house.loudspeaker.reached(1)
