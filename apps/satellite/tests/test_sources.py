import asyncio
import contextlib
import os

import numpy as np
import pytest

from mynah_audio.errors import AudioError
from mynah_audio.pcm import Encoding, Layout, to_bytes
from mynah_audio.wav import encode
from satellite.sources import FileSource, PipeSource, Source

pytestmark = pytest.mark.req("STT-06")


async def frames_of(source: Source):
    async with source as entered:
        return [frame async for frame in entered]


@pytest.fixture
def recording(tmp_path):
    """Writes a recording."""

    def write(samples, rate=16_000):
        (tmp_path / "a.wav").write_bytes(encode(samples, rate))
        return tmp_path / "a.wav"

    return write


@pytest.fixture
def pipe():
    """The descriptors to read from and to write to; neither blocks, a test may close them."""
    ends = os.pipe2(os.O_NONBLOCK)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def test_a_file_is_given_in_frames_of_320_samples(recording, ramp):
    frames = asyncio.run(frames_of(FileSource(recording(ramp(700)), paced=False)))
    assert [len(frame) for frame in frames] == [320, 320, 320]
    assert np.array_equal(np.concatenate(frames)[:700], ramp(700))
    assert not np.concatenate(frames)[700:].any()


def test_a_file_of_another_rate_is_resampled(recording):
    second = recording(np.zeros(48_000, np.int16), 48_000)
    assert len(asyncio.run(frames_of(FileSource(second, paced=False)))) == 50


def test_a_file_may_be_read_again(recording, ramp):
    source = FileSource(recording(ramp(320)), paced=False)
    assert len(asyncio.run(frames_of(source))) == len(asyncio.run(frames_of(source))) == 1


def test_a_file_that_is_missing_or_too_long_is_refused_on_entering(recording):
    two_seconds = recording(np.zeros(32_000, np.int16))
    for path, code in ((two_seconds, "too_long"), (two_seconds.with_name("b.wav"), "unreadable")):
        with pytest.raises(AudioError) as refused:
            asyncio.run(frames_of(FileSource(path, limit_s=1.0)))
        assert refused.value.code == code


def test_an_unpaced_file_lets_others_run_between_frames(recording):
    turns = 0

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def listen():
        async with FileSource(second, paced=False) as source:
            counting = asyncio.create_task(count())
            _ = [frame async for frame in source]
            counting.cancel()

    second = recording(np.zeros(320 * 50, np.int16))
    asyncio.run(listen())
    assert turns >= 50


def test_a_paced_file_gives_each_frame_when_it_would_have_been_heard(recording, in_virtual_time):
    two_seconds = recording(np.zeros(320 * 100, np.int16))

    async def listen():
        loop = asyncio.get_running_loop()
        async with FileSource(two_seconds) as source:
            start = loop.time()
            heard_at = [loop.time() - start async for _ in source]
        assert heard_at == pytest.approx([number * 0.02 for number in range(1, 101)])

    in_virtual_time(listen())


def test_a_listener_that_is_slow_for_a_while_catches_up_with_a_paced_file(recording, in_virtual_time):
    two_seconds = recording(np.zeros(320 * 100, np.int16))

    async def listen():
        loop = asyncio.get_running_loop()
        async with FileSource(two_seconds) as source:
            start = loop.time()
            heard_at = []
            async for _ in source:
                heard_at.append(loop.time() - start)
                await asyncio.sleep(0.5 if len(heard_at) == 10 else 0.001)
        assert heard_at[-1] == pytest.approx(2.0)

    in_virtual_time(listen())


def test_a_pipe_is_given_in_frames_until_its_writer_closes_it(on_each_loop, pipe, ramp):
    reading, writing = pipe
    os.write(writing, to_bytes(ramp(700)) + b"\x01")
    os.close(writing)

    async def listen():
        frames = await frames_of(PipeSource(reading))
        assert np.array_equal(np.concatenate(frames)[:700], ramp(700))
        assert [len(frame) for frame in frames] == [320, 320, 320]

    on_each_loop(listen())


def test_a_fifo_may_be_opened_before_its_writer_is_there(tmp_path, on_each_loop, ramp):
    os.mkfifo(tmp_path / "fifo")

    async def listen():
        async with PipeSource(tmp_path / "fifo") as source:
            await asyncio.to_thread((tmp_path / "fifo").write_bytes, to_bytes(ramp(640)))
            frames = [frame async for frame in source]
            assert np.array_equal(np.concatenate(frames), ramp(640))

    on_each_loop(listen())


def test_a_fifo_goes_on_with_its_next_writer_whole_samples_again(tmp_path, on_each_loop, ramp):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def listen():
        async with PipeSource(fifo) as source:
            assert source.goes_on
            for length, odd in ((700, b"\x01"), (320, b""), (640, b"")):
                await asyncio.to_thread(fifo.write_bytes, to_bytes(ramp(length)) + odd)
                frames = [frame async for frame in source]
                assert np.array_equal(np.concatenate(frames)[:length], ramp(length))

    on_each_loop(listen())


def test_a_fifo_has_a_reader_as_long_as_it_is_listened_to(tmp_path, on_each_loop, ramp):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    async def listen():
        async with PipeSource(fifo) as source:
            await asyncio.to_thread(fifo.write_bytes, to_bytes(ramp(320)))
            for _ in range(10):  # the loop sees that this writer has gone; who listens has not yet
                await asyncio.to_thread(int)
            writer = os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
            os.write(writer, to_bytes(ramp(320)))
            os.close(writer)
            assert len([frame async for frame in source]) == 1
            assert np.array_equal(await anext(aiter(source)), ramp(320))

    on_each_loop(listen())


@pytest.mark.parametrize("is_file", [True, False])
def test_a_file_and_an_open_descriptor_end_for_good(recording, pipe, ramp, is_file):
    source = FileSource(recording(ramp(320))) if is_file else PipeSource(pipe[0])
    assert not source.goes_on


def test_a_frame_is_given_as_soon_as_it_is_whole(on_each_loop, pipe, ramp):
    reading, writing = pipe

    async def listen():
        async with PipeSource(reading) as source:
            frames = aiter(source)
            os.write(writing, to_bytes(ramp(400)))
            assert np.array_equal(await anext(frames), ramp(320))
            os.write(writing, to_bytes(ramp(240)))
            assert np.array_equal(await anext(frames), np.concatenate((ramp(400)[320:], ramp(240))))
            await frames.aclose()

    on_each_loop(listen())


def test_a_pipe_of_another_layout_is_converted(on_each_loop, pipe):
    reading, writing = pipe
    os.write(writing, np.full(2 * 4_800, 0.25, "<f4").tobytes())
    os.close(writing)

    async def listen():
        source = PipeSource(reading, layout=Layout(48_000, 2, Encoding.F32))
        sound = np.concatenate(await frames_of(source))
        assert len(sound) == 1_600
        assert np.abs(sound[400:1_200] - 8_192).max() < 10
        assert sound[1_590] > 7_000

    on_each_loop(listen())


def test_frames_that_nobody_takes_slow_the_writer_down(on_each_loop, pipe):
    reading, writing = pipe

    async def listen():
        async with PipeSource(reading) as source:
            written = 0
            with contextlib.suppress(BlockingIOError):
                while written < 10_000_000:
                    written += os.write(writing, bytes(6_400))
                    await asyncio.sleep(0)
            assert written < 300_000
            frames = aiter(source)
            assert len(await anext(frames)) == 320
            await frames.aclose()

    on_each_loop(listen())


def test_what_is_no_pipe_is_refused(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(640))
    for name in ("a.raw", "missing"):
        with pytest.raises(AudioError, match=name) as refused:
            asyncio.run(frames_of(PipeSource(tmp_path / name)))
        assert refused.value.code == "unreadable"
