"""What a user does: ask, say, turn, transcribe, and the same with mosquitto's tools."""

import json
import signal
import subprocess
import sys
import wave
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

MYNAH = (sys.executable, "-m", "mynah")

pytestmark = [pytest.mark.broker, pytest.mark.timeout(180)]


def times_of_now(zone: timezone) -> set[str]:
    """The time as it may be told around now."""
    now = datetime.now(zone)
    return {f"{time:%-I:%M %p}" for time in (now - timedelta(minutes=1), now, now + timedelta(minutes=1))}


@pytest.fixture(scope="session")
def question(fleet, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "q.wav"
    fleet.mynah("say", "what time is it", "-o", str(path))
    return path


def test_a_question_in_writing_is_answered_with_the_right_time(fleet):
    answer = fleet.json("ask", "what time is it")

    assert any(time in answer["reply"] for time in times_of_now(fleet.zone))
    assert answer["turn"]
    assert answer["ms"] > 0


def test_a_sum_is_answered_by_the_llm_worker(fleet):
    assert "42" in fleet.json("ask", "what is twelve plus thirty")["reply"]


def test_say_makes_a_wav_file(question):
    with wave.open(str(question)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (16_000, 1, 2)
        assert recording.getnframes() > 8_000


@pytest.mark.req("RTR-01", "TST-02")
def test_a_spoken_question_is_heard_answered_and_spoken(fleet, question, tmp_path):
    answer = tmp_path / "a.wav"

    turn = fleet.json("turn", str(question), "-o", str(answer))

    assert turn["transcript"] == "what time is it"
    assert any(time in turn["reply"] for time in times_of_now(fleet.zone))
    assert sum(step["ms"] for step in turn["steps"]) == pytest.approx(turn["total_ms"], rel=0.05)
    with wave.open(str(answer)) as recording:
        assert recording.getnframes() > 16_000
    assert fleet.json("transcribe", str(answer))["text"].startswith("it is")


@pytest.mark.parametrize(
    ("told", "heard"), [("It is 8:05 PM.", "it is eight oh five p m"), ("It is 3:00 PM.", "it is three p m")]
)
def test_the_times_that_it_tells_can_be_read_back_to_it(fleet, tmp_path, told, heard):
    answer = tmp_path / "a.wav"

    fleet.mynah("say", told, "-o", str(answer))

    assert fleet.json("transcribe", str(answer))["text"] == heard


def test_a_recording_is_put_into_words(fleet, question):
    heard = fleet.json("transcribe", str(question))

    assert heard["text"] == "what time is it"
    assert 0 < heard["confidence"] <= 1


@pytest.mark.req("MQ-04")
def test_standard_tools_get_a_transcript(fleet, question):
    # mosquitto_rr 2.0.11 sends nothing with -f, so the request and its reply are two commands.
    guest, reply = fleet.guest, "mynah/reply/guest/1"
    listen = ["mosquitto_sub", "-V", "5", *guest, "-v", "-C", "2", "-W", "20"]
    topics = ["-t", reply, "-t", "mynah/system/character/current"]
    with subprocess.Popen([*listen, *topics], stdout=subprocess.PIPE, text=True) as heard:
        assert heard.stdout is not None
        assert "character" in heard.stdout.readline()  # it is subscribed: what is retained comes first
        send = ["mosquitto_pub", "-V", "5", *guest, "-t", "mynah/stt/transcribe", "-f", str(question)]
        subprocess.run([*send, "-D", "publish", "response-topic", reply], timeout=10, check=True)
        topic, _, answer = heard.stdout.readline().partition(" ")

    assert topic == reply
    assert json.loads(answer)["data"]["text"] == "what time is it"


@pytest.mark.req("MQ-04")
def test_mosquitto_rr_gets_a_wav_file(fleet, tmp_path):
    done = subprocess.run(
        [
            "mosquitto_rr",
            "-V",
            "5",
            *fleet.guest,
            "-t",
            "mynah/tts/synthesize",
            "-e",
            "mynah/reply/guest/2",
            "-W",
            "20",
            "-m",
            '{"data":{"text":"hello"}}',
        ],
        capture_output=True,
        timeout=30,
        check=True,
    )

    # The tool ends what it prints with a line break.
    path = tmp_path / "hello.wav"
    path.write_bytes(done.stdout)
    with wave.open(str(path)) as recording:
        assert recording.getnframes() > 4_000


@pytest.mark.req("MET-04")
def test_a_guest_can_follow_a_turn_and_hears_no_sound(fleet, question):
    command = ["mosquitto_sub", *fleet.guest, "-v", "-t", "mynah/#"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        try:
            assert listener.stdout is not None
            assert "system/" in listener.stdout.readline()  # it is subscribed: what is retained comes first
            turn = fleet.json("turn", str(question))["turn"]
            seen = []
            for line in listener.stdout:
                topic, _, message = line.partition(" ")
                if turn in message:
                    seen.append((topic, json.loads(message)))
                if topic == "mynah/turn/event" and '"done"' in message:
                    break
        finally:
            listener.terminate()

    topics = [topic for topic, _ in seen]
    assert "mynah/wake/event" in topics
    assert "mynah/stt/final" in topics
    assert topics.index("mynah/stt/final") < topics.index("mynah/tts/said")
    assert not [topic for topic in topics if topic.endswith("/play")]


@pytest.mark.req("MQ-02")
def test_status_lists_every_worker_in_a_process_of_its_own(fleet):
    workers = {worker["name"]: worker for worker in fleet.json("status")["workers"]}

    assert {"stt", "tts", "llm", "memory", "router", "satellite"} <= workers.keys()
    assert all(worker["status"] == "up" for worker in workers.values())
    assert {worker["pid"] for worker in workers.values()} <= fleet.children()
    assert len({worker["pid"] for worker in workers.values()}) == len(workers)
    assert workers["stt"]["engine"] == "sphinx"


def test_the_doctor_finds_nothing_wrong(fleet):
    done = fleet.mynah("doctor", check=False)

    assert done.returncode == 0, done.stdout


def test_a_satellite_that_is_there_is_spoken_to_and_another_is_not(fleet):
    assert fleet.json("say", "hello", "--satellite", "default")["seconds"] > 0.1

    done = fleet.mynah("say", "hello", "--satellite", "attic", check=False)

    assert done.returncode == 1
    assert done.stderr == "mynah: There is no satellite 'attic'; those that are up: default.\n"


def test_sound_goes_through_pipes(fleet):
    spoken = subprocess.run(
        [*MYNAH, "say", "what time is it", "-o", "-"], env=fleet.environment, capture_output=True, check=True
    )
    heard = subprocess.run(
        [*MYNAH, "transcribe", "-"], env=fleet.environment, input=spoken.stdout, capture_output=True, check=True
    )

    assert heard.stdout == b"what time is it\n"


def test_listen_shows_the_turns_of_others_and_not_their_satellites(fleet, question):
    with subprocess.Popen([*MYNAH, "listen"], env=fleet.environment, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        assert "workers are up" in listener.stdout.readline()
        fleet.json("turn", str(question))
        fleet.json("ask", "what is twelve plus thirty")
        seen = []
        for line in listener.stdout:
            seen.append(line.rstrip())
            if seen.count("") == 3:
                break
        listener.send_signal(signal.SIGINT)
        assert listener.wait(10) == 130

    text = "\n".join(seen)
    assert "recording   what time is it" in text
    assert "in writing  what is twelve plus thirty" in text
    assert "42" in text
    assert "transcribing" in text
    assert "━" in text
    assert "cli-" not in text
    assert "Traceback" not in text
