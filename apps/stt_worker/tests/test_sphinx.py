"""The embedded recogniser on real speech: synthetic on every machine, recorded where the models are."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from mynah_audio.recording import load
from stt_worker.engines.errors import BadAudio, BadWords, LanguageUnknown
from stt_worker.engines.sphinx import Sphinx, SphinxSettings

MODELS = os.environ.get("MYNAH_MODELS_DIR", "")
RECORDED = {
    "cmd_rhasspy3_whats_the_date_today.wav": {"what's the date today", "whats the date today"},
    "cmd_rhasspy3_turn_on_the_lamp.wav": {"turn on the lamp"},
    "cmd_lock_the_front_door.wav": {"lock the front door"},
    "cmd_set_a_timer_for_5_minutes.wav": {"set a timer for five minutes"},
    "cmd_wyoming_turn_on_the_living_room_lamp.wav": {"turn on the living room lamp"},
}


def recorded(test):
    """A test that needs recordings of people."""
    return pytest.mark.model(pytest.mark.skipif(not MODELS, reason="MYNAH_MODELS_DIR is not set")(test))


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("grammars")


@pytest.fixture(scope="module")
def small(cache, assistant) -> Sphinx:
    """An engine that knows a small assistant's sentences."""
    engine = Sphinx(SphinxSettings(cache)).open()
    assert engine.learn(assistant).mode == "grammar"
    return engine


@pytest.mark.parametrize(
    "sentence",
    ["what time is it", "set a timer for five minutes", "turn off the kitchen lights", "how much time is left"],
)
def test_it_hears_a_sentence_that_it_knows_from_synthetic_speech(small, say, sentence):
    heard = small.transcribe(say(sentence))

    assert heard.text == sentence
    assert heard.confidence >= 0.5
    assert heard.metrics["mode"] == "grammar"


@pytest.mark.parametrize("sentence", ["the quick brown fox jumps over the lazy dog", "i would like to buy a horse"])
def test_it_does_not_take_other_speech_for_a_sentence_that_it_knows(small, say, sentence):
    heard = small.transcribe(say(sentence))

    assert heard.text == ""
    assert heard.confidence < 0.5


@pytest.mark.parametrize("seconds", [0, 0.001, 0.5, 3])
def test_it_hears_nothing_in_silence_and_noise(small, seconds):
    size = round(seconds * 16_000)
    noise = np.random.default_rng(3).normal(0, 300, size).astype(np.int16)

    assert small.transcribe(np.zeros(size, np.int16)).text == ""
    assert small.transcribe(noise).text == ""


def test_what_it_hears_depends_on_nothing_that_it_heard_before(small, say):
    question, other = say("what time is it"), say("turn off the kitchen lights", speed=130)

    alone = small.transcribe(question)
    small.transcribe((other * 0.1).astype(np.int16))
    again = small.transcribe(question)

    assert again.text == alone.text
    assert again.confidence == pytest.approx(alone.confidence, abs=0.01)


def test_a_sentence_is_whole_once_it_was_said_and_not_before(small, say):
    question = say("set a timer for five minutes")

    assert not small.partial(question[: question.size // 3]).is_complete
    assert small.partial(question) == ("set a timer for five minutes", True)


def test_a_whole_sentence_is_not_searched_for_again_when_only_silence_follows(small, say):
    question, other = say("what time is it"), say("turn off the kitchen lights")
    silence = np.zeros(4_000, np.int16)

    assert small.partial(question).is_complete
    heard = small.transcribe(np.concatenate([question, silence]))
    assert heard.text == "what time is it"
    assert heard.metrics["reused"] == 1

    longer = small.transcribe(np.concatenate([question, silence, other]))
    assert longer.metrics["reused"] == 0
    assert small.transcribe(other).text == "turn off the kitchen lights"


def test_it_forgets_a_whole_sentence_with_the_vocabulary_that_it_belonged_to(cache, assistant, say):
    engine = Sphinx(SphinxSettings(cache)).open()
    question = say("what time is it")
    engine.learn(assistant)
    assert engine.partial(question).is_complete

    engine.learn({"language": "en", "intents": {"Stop": {"data": [{"sentences": ["stop", "be quiet"]}]}}})

    assert engine.transcribe(question).text == ""


def test_without_a_vocabulary_it_takes_dictation(cache, say):
    heard = Sphinx(SphinxSettings(cache)).open().transcribe(say("what time is it"))

    assert heard.metrics["mode"] == "dictation"
    assert {"what", "it"} <= set(heard.text.split())


def test_a_vocabulary_that_is_none_leaves_the_one_before(small, say):
    with pytest.raises(BadWords):
        small.learn({"language": "en", "intents": {"Broken": "what time is it"}})

    assert small.transcribe(say("what time is it")).text == "what time is it"


def test_it_says_which_audio_and_which_language_it_does_not_understand(small):
    with pytest.raises(BadAudio, match="8000 Hz"):
        small.transcribe(np.zeros(10, np.int16), sample_rate=8_000)
    with pytest.raises(BadAudio, match="float32"):
        small.transcribe(np.zeros(10, np.float32))
    with pytest.raises(LanguageUnknown, match=r"'de'.*whisper"):
        small.transcribe(np.zeros(10, np.int16), language="de")


@pytest.fixture(scope="module")
def large(cache, house) -> Sphinx:
    """An engine that knows what Home Assistant's users say."""
    engine = Sphinx(SphinxSettings(cache)).open()
    engine.learn(house)
    return engine


@recorded
@pytest.mark.parametrize("file", RECORDED)
def test_a_command_that_a_person_gives_is_understood(large, file):
    heard = large.transcribe(load(Path(MODELS) / "speech" / file).samples)

    assert heard.text in RECORDED[file]


@recorded
def test_most_of_what_is_no_command_is_refused(large):
    with (Path(MODELS) / "speech" / "transcripts.tsv").open() as lines:
        files = [row["file"] for row in csv.DictReader(lines, delimiter="\t") if not row["file"].startswith("cmd")]
    texts = [large.transcribe(load(Path(MODELS) / "speech" / file).samples[:160_000]).text for file in files[::4]]

    assert sum(map(bool, texts)) <= len(texts) / 3
