import asyncio
import os
import signal
import subprocess
import sys
import wave

import numpy as np
import pytest

from mynah_audio.errors import AudioError
from mynah_audio.pcm import from_bytes
from mynah_audio.recording import load
from satellite.sinks import FileSink, NullSink, PipeSink, Sink

PIPE_SAMPLES = 32_768
SECOND = np.arange(16_000, dtype=np.int16)


async def enter(sink: Sink):
    async with sink:
        """What is refused is refused before here."""


def test_a_paced_sink_takes_as_long_as_the_sound(in_virtual_time):
    async def play():
        loop = asyncio.get_running_loop()
        async with NullSink() as sink:
            start = loop.time()
            assert await sink.play(SECOND) == 16_000
            assert loop.time() - start == pytest.approx(1.0)
            for _ in range(10):
                await sink.play(SECOND[:3_333])
            assert loop.time() - start == pytest.approx(1.0 + 33_330 / 16_000)
            assert sink.position == 16_000 + 33_330

    in_virtual_time(play())


def test_a_short_hitch_between_sounds_does_not_add_up(in_virtual_time):
    async def play():
        loop = asyncio.get_running_loop()
        async with NullSink() as sink:
            start = loop.time()
            for _ in range(10):
                await sink.play(SECOND[:3_200])
                await asyncio.sleep(0.01)
            assert loop.time() - start == pytest.approx(2.01)

    in_virtual_time(play())


def test_a_sound_after_a_long_rest_takes_its_whole_time(in_virtual_time):
    async def play():
        loop = asyncio.get_running_loop()
        async with NullSink(rate=48_000) as sink:
            await sink.play(SECOND)
            await asyncio.sleep(60)
            start = loop.time()
            await sink.play(SECOND)
            assert loop.time() - start == pytest.approx(1 / 3)

    in_virtual_time(play())


def test_stop_cuts_within_20_ms_and_says_what_was_heard(in_virtual_time):
    async def play():
        loop = asyncio.get_running_loop()
        async with NullSink() as sink:
            playing = asyncio.create_task(sink.play(SECOND))
            await asyncio.sleep(0.513)
            sink.stop()
            stopped_at = loop.time()
            played = await playing
            assert loop.time() == stopped_at
            assert 0 <= played - 0.513 * 16_000 <= 320
            assert sink.position == played

    in_virtual_time(play())


def test_stop_ends_what_waits_too_and_what_comes_later_is_played(in_virtual_time):
    async def play():
        async with NullSink() as sink:
            waiting = [asyncio.create_task(sink.play(SECOND)) for _ in range(3)]
            await asyncio.sleep(0.1)
            sink.stop()
            played = await asyncio.gather(*waiting)
            assert played[0] < 16_000
            assert played[1:] == [0, 0]
            sink.stop()
            assert await sink.play(SECOND) == 16_000

    in_virtual_time(play())


@pytest.mark.req("TTS-04")
def test_a_pause_holds_the_sound_and_nothing_is_lost(in_virtual_time):
    async def play():
        loop = asyncio.get_running_loop()
        async with NullSink() as sink:
            start = loop.time()
            playing = asyncio.create_task(sink.play(SECOND))
            await asyncio.sleep(0.25)
            sink.pause()
            await asyncio.sleep(10)
            assert 0 <= sink.position - 4_000 <= 320
            sink.resume()
            assert await playing == 16_000
            assert 10.98 <= loop.time() - start <= 11.0

    in_virtual_time(play())


def test_stop_ends_a_pause(in_virtual_time):
    async def play():
        async with NullSink() as sink:
            sink.pause()
            playing = asyncio.create_task(sink.play(SECOND))
            await asyncio.sleep(1)
            sink.stop()
            assert await playing == 0
            assert await sink.play(SECOND) == 16_000

    in_virtual_time(play())


def test_sounds_are_played_one_after_another(tmp_path):
    async def play():
        async with FileSink(tmp_path / "a.wav") as sink, asyncio.TaskGroup() as tasks:
            for number in range(1, 4):
                tasks.create_task(sink.play(np.full(1_000, number, np.int16)))

    asyncio.run(play())
    assert load(tmp_path / "a.wav").samples.tolist() == [1] * 1_000 + [2] * 1_000 + [3] * 1_000


def test_an_unpaced_sink_can_be_stopped_too(tmp_path):
    async def play():
        async with FileSink(tmp_path / "a.wav") as sink:
            playing = asyncio.create_task(sink.play(np.tile(SECOND, 60)))
            await asyncio.sleep(0)
            sink.stop()
            return await playing

    played = asyncio.run(play())
    assert played <= 320
    assert len(load(tmp_path / "a.wav").samples) == played


def test_the_file_of_another_rate_says_so(tmp_path):
    async def play():
        async with FileSink(tmp_path / "a.wav", rate=22_050) as sink:
            await sink.play(np.zeros(2_205, np.int16))

    asyncio.run(play())
    with wave.open(str(tmp_path / "a.wav")) as played:
        assert (played.getframerate(), played.getnframes()) == (22_050, 2_205)


def test_a_file_is_readable_while_it_is_played_and_whole_after_a_cancelled_sound(tmp_path):
    async def play():
        async with FileSink(tmp_path / "a.wav") as sink:
            await sink.play(SECOND)
            so_far = await asyncio.to_thread(load, tmp_path / "a.wav")
            assert np.array_equal(so_far.samples, SECOND)
            playing = asyncio.create_task(sink.play(np.tile(SECOND, 60)))
            await asyncio.sleep(0)
            playing.cancel()
        return sink.position

    position = asyncio.run(play())
    with wave.open(str(tmp_path / "a.wav")) as played:
        assert 0 <= played.getnframes() - position <= 320
        assert (tmp_path / "a.wav").stat().st_size == 44 + 2 * played.getnframes()


def test_a_file_is_a_recording_even_when_its_player_was_killed(tmp_path):
    program = """
import asyncio, pathlib, sys
import numpy as np
from satellite.sinks import FileSink

async def main():
    async with FileSink(pathlib.Path(sys.argv[1])) as sink:
        await sink.play(np.arange(16_000, dtype=np.int16))
        sys.stdout.write("played\\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, str(tmp_path / "a.wav")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as player:
        assert player.stdout is not None
        assert player.stdout.readline() == "played\n"
        player.send_signal(signal.SIGKILL)
    assert np.array_equal(load(tmp_path / "a.wav").samples, SECOND)


def test_what_a_file_held_stays_until_there_is_sound(tmp_path):
    async def play(*sounds):
        async with FileSink(tmp_path / "a.wav") as sink:
            for sound in sounds:
                await sink.play(sound)

    asyncio.run(play())
    assert not (tmp_path / "a.wav").exists()
    asyncio.run(play(SECOND))
    asyncio.run(play())
    assert np.array_equal(load(tmp_path / "a.wav").samples, SECOND)
    asyncio.run(play(SECOND[:100]))
    assert load(tmp_path / "a.wav").samples.size == 100


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(AudioError, match="missing") as refused:
        asyncio.run(enter(FileSink(tmp_path / "missing" / "a.wav")))
    assert refused.value.code == "unwritable"


def test_a_pipe_gets_the_samples(on_each_loop):
    reading, writing = os.pipe()

    async def play():
        async with PipeSink(writing, paced=False) as sink:
            assert await sink.play(SECOND) == 16_000

    on_each_loop(play())
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        assert np.array_equal(from_bytes(pipe.read()), SECOND)


def test_a_slow_reader_slows_the_sound_and_stop_frees_the_player(on_each_loop):
    reading, writing = os.pipe()

    async def play():
        async with PipeSink(writing, paced=False) as sink:
            playing = asyncio.create_task(sink.play(np.tile(SECOND, 60)))
            await asyncio.to_thread(os.read, reading, 640)
            for _ in range(1_000):
                await asyncio.sleep(0)
            assert sink.position <= PIPE_SAMPLES + 640
            sink.stop()
            await asyncio.to_thread(os.read, reading, 2 * PIPE_SAMPLES)
            assert await playing <= PIPE_SAMPLES + 640

    on_each_loop(play())
    os.close(reading)
    os.close(writing)


def test_a_sink_with_a_stalled_reader_can_be_left(on_each_loop):
    reading, writing = os.pipe()

    async def play():
        async with PipeSink(writing, paced=False) as sink:
            playing = asyncio.create_task(sink.play(np.tile(SECOND, 60)))
            await asyncio.to_thread(os.read, reading, 640)
            for _ in range(1_000):
                await asyncio.sleep(0)
            playing.cancel()

    on_each_loop(play())
    os.close(reading)
    os.close(writing)


def test_a_reader_that_goes_away_is_an_error(tmp_path, on_each_loop):
    os.mkfifo(tmp_path / "fifo")

    async def play():
        reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        async with PipeSink(tmp_path / "fifo", paced=False) as sink:
            await sink.play(SECOND[:320])
            os.close(reading)
            with pytest.raises(ConnectionError):
                await sink.play(SECOND)

    on_each_loop(play())


def test_a_pipe_that_nobody_reads_is_refused_with_the_reason(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name, reason in (("fifo", "nobody reads it yet"), ("file", "not a pipe")):
        with pytest.raises(AudioError, match=reason) as refused:
            asyncio.run(enter(PipeSink(tmp_path / name)))
        assert refused.value.code == "unwritable"
